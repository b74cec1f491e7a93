"""From commands with slots to their wordings: "turn {left,right} {number} degrees".

A slot is in braces: a choice of words, `{number}` for a whole number, or the name of a list from
`commands.slots`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
import re

from .errors import SettingError

NUMBERS = tuple(str(number) for number in (*range(100), *range(100, 361, 5), 500, 1000))
MAX_WORDINGS = 5_000  # of all commands
LONGEST = 200  # letters of a wording
SLOT = re.compile(r'\{([^{}]*)\}')


@dataclass(frozen=True)
class Wording:
    """One way to say a command."""

    text: str
    command: str
    """The command, as it was written, with its slots."""
    values: tuple[str, ...] = ()
    """What its slots hold, in their order."""


@lru_cache(maxsize=16)
def wordings(
    commands: tuple[str, ...], slots: tuple[str, ...] = (), name: str = 'commands.phrases'
) -> tuple[Wording, ...]:
    """Return each wording of each command.

    `slots` are lists as in `commands.slots`: "room: kitchen, bathroom". Raises a SettingError for
    a slot that is not known, and for too many wordings; `name` is the parameter that it names.
    """
    lists = slot_lists(slots)
    found: list[Wording] = []
    for command in filter(None, commands):
        _check_text(command, name)
        choices = [_choices(slot, command, lists, name) for slot in SLOT.findall(command)]
        rest = SLOT.sub('', command)
        if '{' in rest or '}' in rest:
            raise SettingError(
                f'{name} has {command!r}, where a brace has no partner: write a slot as '
                '"{left,right}" or "{number}"'
            )
        count = 1
        for each in choices:
            count *= len(each)
        if len(found) + count > MAX_WORDINGS:
            raise SettingError(
                f'{name} has more than {MAX_WORDINGS} wordings, with {command!r} alone '
                f'{count}: use fewer slots'
            )
        for values in product(*choices):
            text = _filled(command, values)
            if not any(map(str.isalnum, text)) or len(text) > LONGEST:
                raise SettingError(
                    f'{name} has {text[:40]!r}, but must have words, and at most '
                    f'{LONGEST} letters in a command'
                )
            found.append(Wording(text, command, values))
    return tuple(found)


def slot_lists(slots: Iterable[str]) -> dict[str, list[str]]:
    """Return the choices of each list of `commands.slots`; raise a SettingError."""
    lists = {}
    for line in filter(None, slots):
        _check_text(line, 'commands.slots')
        name, colon, values = line.partition(':')
        choices = [value.strip() for value in values.split(',') if value.strip()]
        if not colon or not name.strip() or not choices:
            raise SettingError(
                f'commands.slots has {line!r}, but must be a name and its words, as '
                '"room: kitchen, bathroom"'
            )
        if name.strip() == 'number':
            raise SettingError(
                f'commands.slots has {line!r}, but {{number}} has its meaning: use another name'
            )
        lists[name.strip()] = choices
    return lists


def _check_text(text: str, parameter: str) -> None:
    if '\0' in text:
        raise SettingError(f'{parameter} has {text[:40]!r}, but must not have a zero character')


def _choices(
    slot: str, command: str, lists: dict[str, list[str]], parameter: str
) -> Sequence[str]:
    name = slot.strip()
    if name in lists:
        return lists[name]
    if name == 'number':
        return NUMBERS
    choices = [value.strip() for value in slot.split(',') if value.strip()]
    if len(choices) < 2:
        known = ', '.join(['number', *lists])
        raise SettingError(
            f'{parameter} has {command!r}, whose slot {{{slot}}} is not known: it must be '
            f'one of {known} (commands.slots adds lists), or a choice as {{left,right}}'
        )
    return choices


def _filled(command: str, values: Iterable[str]) -> str:
    """Return a command with values in its slots."""
    remaining = iter(values)
    filled = SLOT.sub(lambda slot: next(remaining), command)
    return ' '.join(filled.replace('_', ' ').split())
