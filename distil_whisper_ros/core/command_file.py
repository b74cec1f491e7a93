"""Commands from a YAML file (`commands.file`), which is read at the start of the node.

Not at any time: whoever may set parameters over the network could read other files by it.

    phrases: [turn left, "go to the {room}"]
    urgent: [stop]
    slots:
      room: [kitchen, living room]
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .errors import SettingError

LARGEST = 1_000_000  # bytes
KEYS = 'phrases', 'urgent', 'slots'


@dataclass(frozen=True)
class CommandFile:
    """What a file of commands holds; slots are written as in `commands.slots`."""

    phrases: tuple[str, ...] = ()
    urgent: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()


_read: dict[str, CommandFile] = {}


def command_file(path: str) -> CommandFile:
    """Return the commands of a file as they were when it was read; none for an empty path."""
    if not path:
        return CommandFile()
    return _read[path] if path in _read else read_command_file(path)


def read_command_file(path: str) -> CommandFile:
    """Read a file of commands; raise a SettingError with what is wrong in it."""
    if not path:
        return CommandFile()
    try:
        file = Path(path).expanduser()
        if not file.is_file() or file.stat().st_size > LARGEST:
            raise SettingError(
                f'commands.file is {path!r}, which must be a file of at most {LARGEST} bytes'
            )
        content = yaml.safe_load(file.read_text(encoding='utf-8'))
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingError(f'commands.file is {path!r}, which cannot be read: {reason}') from error
    except (yaml.YAMLError, RecursionError) as error:
        reason = ' '.join(str(error).split())[:200]
        raise SettingError(f'commands.file is {path!r}, which is no YAML: {reason}') from error
    if not isinstance(content, dict) or not set(content) <= set(KEYS):
        raise SettingError(
            f'commands.file is {path!r}, which must have nothing but {", ".join(KEYS)}, as '
            '"phrases: [turn left, stop]"'
        )
    _read[path] = CommandFile(
        _texts(content.get('phrases'), 'phrases', path),
        _texts(content.get('urgent'), 'urgent', path),
        _slots(content.get('slots'), path),
    )
    return _read[path]


def _texts(value: Any, name: str, path: str) -> tuple[str, ...]:
    """Return a list of texts; a number is one, since YAML reads "five: [1, 2]" so."""
    given = value if isinstance(value, list) else []
    texts = [str(each) if type(each) in (int, float) else each for each in given]
    if not isinstance(value, (list, type(None))) or not all(isinstance(t, str) for t in texts):
        raise SettingError(
            f'commands.file is {path!r}, whose {name} must be a list of texts: quote words as '
            '"yes", "no" and "on"'
        )
    return tuple(filter(None, texts))


def _slots(value: Any, path: str) -> tuple[str, ...]:
    """Return the lists in the form of `commands.slots`."""
    if not isinstance(value, (dict, type(None))):
        raise SettingError(
            f'commands.file is {path!r}, whose slots must be lists with names, as '
            '"slots: {room: [kitchen, garden]}"'
        )
    lists = []
    for name, words in (value or {}).items():
        texts = _texts(words, f'slots.{name}', path)
        # So the lists are written in `commands.slots`.
        wrong = [each for each in (str(name), *texts) if ',' in each]
        if wrong or ':' in str(name):
            raise SettingError(
                f'commands.file is {path!r}, whose slots.{name} has {(*wrong, name)[0]!r}: a name '
                'and its words have no comma, and a name no colon'
            )
        lists.append(f'{name}: {", ".join(texts)}')
    return tuple(lists)
