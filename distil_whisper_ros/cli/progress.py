"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from .output import tell

PERCENT_STEP = 10  # percent from line to line where there is no terminal


def terminal() -> Console:
    """Return a console on standard error, without escape codes unless it is a terminal."""
    return Console(file=sys.stderr, force_terminal=sys.stderr.isatty(), highlight=False)


def is_interactive() -> bool:
    """Return whether standard error is a terminal on which lines can be redrawn."""
    return sys.stderr.isatty() and not terminal().is_dumb_terminal


class ProgressBar:
    """A progress bar; use it as a context manager, and call it to show progress.

    With `quiet` it shows nothing. Where there is no terminal, `lines` prints a line for each tenth
    of the work; without, nothing is shown there.
    """

    def __init__(self, quiet: bool = False, lines: bool = False) -> None:
        self._lines = lines and not quiet
        self._last = ''
        self._bar: Progress | None = None
        if is_interactive() and not quiet:
            self._bar = Progress(
                BarColumn(),
                TaskProgressColumn(),
                TextColumn('{task.description}', markup=False),
                console=terminal(),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._bar.add_task('', total=1.0, visible=False)

    def __enter__(self) -> 'ProgressBar':
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.clear()
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, step: str, share: float) -> None:
        """Show the present step, and the part of it that is done, from 0 to 1."""
        if self._bar is not None:
            self._bar.update(self._task, description=step, completed=share, visible=True)
        elif self._lines:
            percent = PERCENT_STEP * int(100 / PERCENT_STEP * share)
            line = f'{step.split(":")[0]} {percent}%'
            if line != self._last:
                tell(line)
                self._last = line

    def clear(self) -> None:
        """Remove the bar from the terminal, before other text is printed."""
        if self._bar is not None:
            self._bar.update(self._task, visible=False)
            self._bar.refresh()
