"""The table of the long forms: `make faults` and `make fuzz` print it and keep it as Markdown."""

import os
from pathlib import Path
import sys
import time

from rich.console import Console
from rich.markup import escape
from rich.table import Table

RESULTS = Path(__file__).with_name('results')
MARKS = {'passed': '✓', 'failed': '✗', 'skipped': '–'}


def long_form() -> bool:
    """Return whether this is `make faults` or `make fuzz`."""
    return os.environ.get('RELIABILITY') == 'full'


def pytest_configure(config):
    if long_form() and not hasattr(config, 'workerinput'):
        config.pluginmanager.register(Progress(), 'reliability progress')


class Progress:
    """Prints a line for each test as it ends, and at last the table of faults and states."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
        self.cells: dict[tuple[str, str], str] = {}
        self.count = self.total = 0
        self.began = time.monotonic()

    def pytest_collection_finish(self, session):
        self.total = len(session.items)

    def pytest_xdist_node_collection_finished(self, ids):
        self.total = len(ids)

    def pytest_runtest_logreport(self, report):
        ended = report.when == 'call' or (report.when == 'setup' and report.outcome != 'passed')
        if not ended:
            return
        self.count += 1
        mark, name = MARKS.get(report.outcome, report.outcome), report.nodeid.rpartition('::')[2]
        minutes = (time.monotonic() - self.began) / 60
        self.console.print(
            f'[dim]{minutes:5.1f} min {self.count:4d}/{self.total}[/] {mark} {escape(name)} '
            f'[dim]{report.duration:.1f} s[/]'
        )
        case = name.partition('[')[2].rstrip(']')
        cell = dict(report.user_properties).get('cell', mark) if report.passed else mark
        if name.startswith('test_a_fault_in_a_state'):
            fault, _, state = case.rpartition('-')
            self.cells[fault, state] = cell
        elif name.startswith('test_an_audio_flood'):
            self.cells['audio_flooded', case] = cell
        elif name.startswith('test_ctrl_c'):
            self.cells['ctrl_c', case] = mark
        elif name.startswith('test_a_memory_limit'):
            self.cells['memory_limited', case] = cell

    def pytest_terminal_summary(self):
        if not self.cells:
            return
        rows = list(dict.fromkeys(fault for fault, _ in self.cells))
        columns = list(dict.fromkeys(state for _, state in self.cells))
        table = Table('fault', *(column.replace('_', '\n') for column in columns))
        lines = [f'| fault | {" | ".join(columns)} |', '|---' * (len(columns) + 1) + '|']
        for fault in rows:
            marks = [self.cells.get((fault, column), '') for column in columns]
            table.add_row(fault.replace('_', ' '), *marks)
            lines.append(f'| {fault.replace("_", " ")} | {" | ".join(marks)} |')
        self.console.print(table)
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / 'faults.md').write_text('\n'.join(lines).replace('_', ' ') + '\n')
