"""Recordings: WAV, FLAC, OGG and the other formats of libsndfile."""

import os
from pathlib import Path
import tempfile
from typing import Any

import numpy as np
import soundfile

from ..core.audio_format import SAMPLE_RATE, Samples
from ..core.errors import FileError, FormatError
from .limits import check_finite, check_format, LONGEST_RECORDING
from .resampling import Resampler

KINDS = 'WAV, FLAC or OGG'
BLOCK_LENGTH = 1 << 20  # samples of all channels that are read at once: 4 MB


def read_recording(path: str | Path) -> Samples:
    """Return a recording in the one format, or raise a FileError that names the file.

    Memory is taken as samples come, not as the header promises them, and they are kept once.
    """
    path = usable(path)
    try:
        with open(path, 'rb'):  # says why it cannot be opened; libsndfile does not
            pass
        name: Any = os.fsencode(path)  # a name need not be UTF-8
        with soundfile.SoundFile(name) as recording:
            samples = _read(recording)
    except FormatError as error:
        raise FileError(f'the recording {path} cannot be used: {error}') from error
    except (soundfile.SoundFileError, OSError, ValueError, TypeError, RuntimeError) as error:
        reason = ' '.join(str(error).split(': ')[-1].split())
        if isinstance(error, OSError):
            reason = error.strerror or reason
        raise FileError(
            f'{path} is not a recording that can be read ({reason}): use {KINDS}'
        ) from error
    if not len(samples):
        raise FileError(f'the recording {path} is empty: it has no samples')
    return samples


def usable(path: str | Path) -> Path:
    """Return the path of a regular file, or raise a FileError.

    A pipe or a device would never end, or block for ever.
    """
    try:
        expanded = Path(path).expanduser()
    except RuntimeError as error:  # ~nobody
        raise FileError(f'the recording {path} has no folder: no such user') from error
    try:
        if expanded.is_dir():
            reason = 'is a folder'
        elif not expanded.exists():
            reason = 'does not exist'
        elif not expanded.is_file():
            reason = 'is not a regular file'
        else:
            return expanded
    except (OSError, ValueError) as error:  # no permission, a name that is too long, a zero byte
        reason = f'cannot be opened ({getattr(error, "strerror", None) or error})'
    raise FileError(f'the recording {expanded} {reason}: name a {KINDS} file')


def _read(recording: soundfile.SoundFile) -> Samples:
    """Return all samples, mixed and resampled block by block; raise a FormatError."""
    rate, channels = recording.samplerate, recording.channels
    check_format(rate, channels)
    resampler = Resampler(rate)
    samples, used, read = np.empty(0, np.float32), 0, 0
    while True:
        length = max(1, BLOCK_LENGTH // channels)
        block = np.asarray(recording.read(length, 'float32', always_2d=True), np.float32)
        if len(block):
            read += len(block)
            check_format(rate, channels, read * channels, max_duration=LONGEST_RECORDING)
            check_finite(block)
            part = resampler.push(block)
        else:
            part = resampler.flush()
        if used + len(part) > len(samples):  # grows in place; a list would be kept twice
            samples.resize(used + len(part) + len(samples) // 4, refcheck=False)
        samples[used : used + len(part)] = part
        used += len(part)
        if not len(block):
            samples.resize(used, refcheck=False)
            return samples


def write_recording(path: Path, samples: Samples) -> None:
    """Write samples in the one format as 16-bit WAV; only this user may read it.

    The file appears whole or not at all. Raise a FileError if it cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp('.part', f'.{path.name}-', path.parent)  # mode 0600
        try:
            soundfile.write(temporary, samples, SAMPLE_RATE, subtype='PCM_16', format='WAV')
            os.fsync(number)  # tells of a full disk here, not later
        finally:
            os.close(number)
        os.replace(temporary, path)
        temporary = None
    except (soundfile.SoundFileError, OSError, AssertionError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or 'the disk may be full'
        raise FileError(
            f'{path} cannot be written ({reason}): check the folder and the space on its disk'
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
