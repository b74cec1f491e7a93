"""The table of messages and the code have the same sentences."""

from pathlib import Path

from list_messages import messages
import pytest

TABLE = Path(__file__).resolve().parents[2] / 'docs/messages.md'


def rows() -> dict[str, list[str]]:
    """Return each row's message, without its quotes, and its other cells."""
    found = {}
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in line.replace('\\|', '¦').strip('| ').split(' | ')]
        if len(cells) == 3 and cells[0].startswith('`'):
            found[cells[0].strip('`').strip().replace('¦', '|')] = cells[1:]
    return found


def test_every_message_has_a_row():
    missing = sorted(set(messages()) - set(rows()))
    assert not missing, 'docs/messages.md lacks:\n' + '\n'.join(missing)


def test_every_row_is_a_message():
    gone = sorted(set(rows()) - set(messages()))
    assert not gone, 'the code has no longer:\n' + '\n'.join(gone)


@pytest.mark.parametrize('message', list(rows()))
def test_a_row_tells_cause_and_cure(message):
    cause, cure = rows()[message]
    assert len(cause) > 5 and len(cure) > 3
