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

import errno

NO_MEMORY = 'no memory is left: end other programs, or choose a smaller model'


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


def cannot_start(error: Exception) -> str:
    """Return a sentence about an error of ROS at its start, less the place in its source."""
    reason = ' '.join(str(error).partition(', at /')[0].split())
    if 'log directory' in reason:
        reason += ': set ROS_LOG_DIR to a folder that this user may write to'
    elif 'params file' in reason:
        reason += ': compare it with config/speech.yaml'
    elif 'log level' in reason:
        reason += ': use debug, info, warn, error or fatal'
    return f'ROS cannot start: {reason}'
