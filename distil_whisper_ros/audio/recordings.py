"""Recordings: WAV, FLAC, OGG, MP3 and the other formats of libsndfile; more with PyAV.

A recording is repaired where that is possible, and its notices say what was odd: a wrong length in
the header, samples far beyond full scale, channels that cancel each other out, a very low level.
"""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..core.audio_format import Samples
from ..core.errors import FileError, FormatError
from .channels import ALL, check_channel, pick
from .limits import check_finite, check_format, LONGEST_RECORDING
from .recording_levels import amplify, Survey
from .recording_reader import open_recording, Reader, UNREADABLE
from .resampling import Resampler

KINDS = 'WAV, FLAC or OGG'


@dataclass(frozen=True)
class Recording:
    """A recording in the one format."""

    samples: Samples
    sample_rate: int
    """Of the file, in Hz."""
    channels: int
    """Of the file."""
    notices: tuple[str, ...] = ()
    """What was odd about it and what was done, each as a sentence."""


def read_recording(path: str | Path) -> Samples:
    """Return the samples of `load_recording`."""
    return load_recording(path).samples


def load_recording(
    path: str | Path,
    channel: int = ALL,
    *,
    name: str = '',
    parameter: str = 'microphone.channel',
    max_duration: float = LONGEST_RECORDING,
) -> Recording:
    """Return a recording in the one format, or raise a FileError that names the file.

    Memory is taken as samples come, not as the header promises them, and they are kept once.
    `channel` is the one to use, from 0, or ALL, and `parameter` its name for people. `name` is the
    recording's, where that is not its path. Of a recording that is longer than `max_duration`, in
    seconds, no more is read than shows it; it raises a FileError.
    """
    path = usable(path)
    name = name or f'the recording {path}'
    short = name.removeprefix('the recording ')
    try:
        with open(path, 'rb') as file:
            recording = _load(file, short, channel, parameter, max_duration)
    except FormatError as error:
        raise FileError(f'{name} cannot be used: {error}') from error
    except UNREADABLE as error:
        reason = ' '.join(str(error).split(': ')[-1].split())
        if isinstance(error, OSError):
            reason = error.strerror or reason
        raise FileError(
            f'{short} is not a recording that can be read ({reason}): use {KINDS}'
        ) from error
    if not len(recording.samples):
        raise FileError(f'{name} is empty: it has no samples')
    return recording


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


def _load(
    file: BinaryIO, name: str, channel: int, parameter: str, max_duration: float
) -> Recording:
    """Read a file; once more if the first time shows that another channel or scale is right."""
    with closing(open_recording(file, name)) as reader:
        check_format(reader.sample_rate, reader.channels)
        check_channel(parameter, channel, reader.channels, 'the recording')
        survey = Survey(reader.channels)
        samples = _read(reader, channel, 1.0, survey, max_duration)
    scale = survey.scale
    notices = [survey.scale_notice]
    if channel == ALL and survey.powers.canceled:
        channel = survey.powers.strongest
        notices.append(_canceled(channel))
    if any(notices):
        del samples  # before the second ones are read
        with closing(open_recording(file, name)) as again:
            samples = _read(again, channel, scale, Survey(reader.channels), max_duration)
    notices += [reader.notice, amplify(samples)]
    return Recording(samples, reader.sample_rate, reader.channels, tuple(filter(None, notices)))


def _canceled(channel: int) -> str:
    """Return that the channels cancel each other out, as a sentence; `channel` is used instead."""
    return f'its channels cancel each other out when they are mixed: channel {channel} is used'


def _read(
    reader: Reader, channel: int, scale: float, survey: Survey, max_duration: float
) -> Samples:
    """Return all samples, mixed and resampled block by block; raise a FormatError."""
    rate, channels = reader.sample_rate, reader.channels
    resampler = Resampler(rate, lambda block: pick(block, channel))
    samples, used, read = np.empty(0, np.float32), 0, 0

    def keep(part: Samples) -> None:
        nonlocal used
        if used + len(part) > len(samples):  # grows in place; a list would be kept twice
            samples.resize(used + len(part) + len(samples) // 4, refcheck=False)
        samples[used : used + len(part)] = part
        used += len(part)

    for block in reader.blocks():
        read += len(block)
        check_format(rate, channels, read * channels, max_duration=max_duration)
        check_finite(block)
        survey.push(block)
        keep(resampler.push(block if scale == 1.0 else block * np.float32(scale)))
    keep(resampler.flush())
    samples.resize(used, refcheck=False)
    return samples
