"""The errors that a person can put right.

SpeechError            one sentence that names what was wrong and what would be right
├── SettingError       a parameter has a value that cannot be used
├── AudioError
│   ├── DeviceError    the microphone is unknown, refuses, hangs, or is gone
│   ├── FileError      a recording is missing, or is not a recording
│   └── FormatError    a sample rate, number of channels or length is not within its limits
├── ModelError         the model is missing, unsafe, incomplete, not Whisper, or too large
│   └── HubUnreachableError  the hub, where the model is, cannot be reached now
└── RequestError
    ├── BusyError      another request is under way
    └── InactiveError  the recognizer is not active
"""

from collections.abc import Sequence
import errno
import re

NO_MEMORY = 'no memory is left: end other programs, or choose a smaller model'
LONGEST_NAMESPACE = 190  # letters; ROS takes 244, less the names of services


class SpeechError(Exception):
    """Something that a person can put right; its text is one line."""


class SettingError(SpeechError):
    """A parameter has a value that cannot be used."""


class AudioError(SpeechError):
    """The audio is not available."""


class DeviceError(AudioError):
    """The microphone is unknown, refuses, hangs, or is gone."""


class FileError(AudioError):
    """A recording is missing, or is not a recording."""


class FormatError(AudioError):
    """A sample rate, a number of channels or a length is not within its limits."""


class ModelError(SpeechError):
    """The model is missing, unsafe, incomplete, not Whisper, or too large."""


class HubUnreachableError(ModelError):
    """The model is not on this machine and the hub gives none now; a later try may work."""


class RequestError(SpeechError):
    """A request cannot be taken now."""


class BusyError(RequestError):
    """Another request is under way."""


class InactiveError(RequestError):
    """The recognizer is not active."""


def is_memory_full(error: BaseException) -> bool:
    """Return whether Python or the operating system had no memory to give."""
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    # Of the dynamic linker, where a library is imported.
    return isinstance(error, MemoryError) or 'failed to map segment' in str(error)


def unexpected(error: BaseException) -> str:
    """Return a sentence about an exception that is no SpeechError."""
    reason = f'internal error: {error!r}'
    return NO_MEMORY if is_memory_full(error) else reason


def cannot_start(error: Exception, arguments: Sequence[str] = ()) -> str:
    """Return a sentence about an error of ROS at its start, less the place in its source.

    `arguments` are those of the program; ROS does not tell the namespace that it refuses.
    """
    reason = ' '.join(str(error).partition(', at /')[0].split())
    if 'log directory' in reason:
        reason += ': set ROS_LOG_DIR to a folder that this user may write to'
    elif 'params file' in reason:
        reason += ': compare it with config/speech.yaml'
    elif 'log level' in reason:
        reason += ': use debug, info, warn, error or fatal'
    else:
        reason = _wrong_name(reason, arguments) or _wrong_switch(reason) or reason
    return f'ROS cannot start: {reason}'


def _wrong_name(reason: str, arguments: Sequence[str]) -> str:
    """Return what is wrong about a namespace or a node's name, or ''."""
    rule = re.search(r"remap rule: '(?:-r |--remap )?(.*?)'\. Error", reason)
    named = 'namespace' in reason or 'length should' in reason
    rules = [rule[1]] if rule else [*arguments] if named else []
    for each in rules:
        before, mark, name = each.partition(':=')
        if mark and before.endswith('__ns'):
            return wrong_namespace(name)
        if mark and before.endswith(('__node', '__name')):
            return (
                f'the name of the node is {name!r}, but must be letters, digits and _, with no '
                'digit first'
            )
    return ''


def wrong_namespace(name: str) -> str:
    """Return a sentence about a namespace that ROS refuses."""
    return (
        f'the namespace is {name!r}, but must be as "/robot1" or "/house/robot1": letters, digits '
        f'and _ after each /, with no digit first, and {LONGEST_NAMESPACE} letters at most'
    )


def _wrong_switch(reason: str) -> str:
    """Return what is wrong about a parameter of ROS itself that is true or false, or ''."""
    found = re.search(
        r"parameter '(\S+)' to '(.*)' of type '(\w+)', expecting type '\S*BOOL'", reason
    )
    if not found:
        return ''
    name, value, kind = found.groups()
    shown = repr(value) if kind == 'STRING' else value
    return f'{name} is {shown}, but must be true or false'
