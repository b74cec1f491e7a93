"""Recordings: WAV, FLAC, OGG, MP3 and the other formats of libsndfile; more with PyAV.

A recording is repaired where that is possible, and its notices say what was odd: a wrong length in
the header, samples far beyond full scale, channels that cancel each other out, a very low level.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
import os
from pathlib import Path
import tempfile
from typing import BinaryIO, Protocol

import numpy as np
import soundfile

from ..core.audio_format import SAMPLE_RATE, Samples
from ..core.errors import FileError, FormatError
from .channels import ALL, Block, check_channel, pick, Powers
from .compressed import CompressedReader, damaged, HEAD, kind_of
from .file_header import repaired
from .levels import decibels
from .limits import check_finite, check_format, LONGEST_RECORDING
from .resampling import Resampler

KINDS = 'WAV, FLAC or OGG'
BLOCK_LENGTH = 1 << 20  # samples of all channels that are read at once: 4 MB
COMPRESSED = ('FLAC', 'OGG', 'MP3')
SHORT_BLOCK_LENGTH = 1 << 14  # samples of all channels
MACOS = b'\0\5\x16\7'  # begins a file ._NAME, in which macOS keeps what is not the content

BEYOND = 16.0  # times full scale: 24 dB above it, so the samples are numbers of another range
BEYOND_SHARE = 1e-3  # of the samples; fewer are clicks
RANGES = (2.0**15, 2.0**23, 2.0**31)  # full scale of 16, 24 and 32 bits

WINDOW = SAMPLE_RATE // 10  # samples: the level is that of a tenth of a second
LOUD_WINDOWS = 10  # a second that is louder is speech, less may be a click
QUIET = -38.0  # dBFS of the loudest second: 17 dB below speech near a microphone
SILENT = -90.0  # dBFS: the last bit of 16; below, nothing can be amplified
NORMAL = -20.0  # dBFS of the loudest second of a recording that was amplified


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
    except (soundfile.SoundFileError, OSError, ValueError, TypeError, RuntimeError) as error:
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


class _Reader(Protocol):
    """A file that is open for reading."""

    sample_rate: int
    channels: int
    notice: str
    """What is odd about the file, as a sentence; or empty."""

    def blocks(self) -> Iterator[Block]:
        """Yield blocks of shape (samples, channels)."""
        ...

    def close(self) -> None:
        """Free the reader; the file stays open."""
        ...


class _Stream(soundfile.SoundFile):
    """A file that is read once, from its beginning to its end."""

    def seekable(self) -> bool:
        """Return that it has no places: soundfile seeks after each read, where FLAC may fail."""
        return False


class _SoundFileReader:
    """Reads the formats of libsndfile."""

    def __init__(self, file: BinaryIO) -> None:
        """Open a file; raise an exception of soundfile."""
        whole, self.notice = repaired(file)
        self._sound = _Stream(whole)
        self.sample_rate, self.channels = self._sound.samplerate, self._sound.channels

    def blocks(self) -> Iterator[Block]:
        """Yield blocks of shape (samples, channels); set `notice` if the end is damaged."""
        # Nothing is read of a block with damage, so blocks of compressed formats are short.
        whole = BLOCK_LENGTH if self._sound.format not in COMPRESSED else SHORT_BLOCK_LENGTH
        length, samples = max(1, whole // self.channels), 0
        while True:
            try:
                block = self._sound.read(length, 'float32', always_2d=True)
            except soundfile.SoundFileError as error:
                if not samples:
                    raise
                reason = ' '.join(str(error).split(': ')[-1].split())
                self.notice = damaged(samples / self.sample_rate, reason)
                return
            if not len(block):
                return
            samples += len(block)
            yield np.asarray(block, np.float32)

    def close(self) -> None:
        """Free the decoder."""
        self._sound.close()


def _open(file: BinaryIO, name: str) -> _Reader:
    """Return a reader of a file; raise a FileError or an exception of soundfile."""
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    if head.startswith(MACOS):
        raise FileError(
            f'{name} holds no audio: macOS keeps other data of a file in it; name the file itself'
        )
    try:
        return _SoundFileReader(file)
    except (soundfile.SoundFileError, TypeError):
        kind = kind_of(head)
        if kind is None:
            raise
    file.seek(0)
    return CompressedReader(file, *kind, name)


def _load(
    file: BinaryIO, name: str, channel: int, parameter: str, max_duration: float
) -> Recording:
    """Read a file; once more if the first time shows that another channel or scale is right."""
    with closing(_open(file, name)) as reader:
        check_format(reader.sample_rate, reader.channels)
        check_channel(parameter, channel, reader.channels, 'the recording')
        survey = _Survey(reader.channels)
        samples = _read(reader, channel, 1.0, survey, max_duration)
    scale = survey.scale
    notices = [survey.scale_notice]
    if channel == ALL and survey.powers.canceled:
        channel = survey.powers.strongest
        notices.append(_canceled(channel))
    if any(notices):
        del samples  # before the second ones are read
        with closing(_open(file, name)) as again:
            samples = _read(again, channel, scale, _Survey(reader.channels), max_duration)
    notices += [reader.notice, _amplify(samples)]
    return Recording(samples, reader.sample_rate, reader.channels, tuple(filter(None, notices)))


def _canceled(channel: int) -> str:
    """Return that the channels cancel each other out, as a sentence; `channel` is used instead."""
    return f'its channels cancel each other out when they are mixed: channel {channel} is used'


class _Survey:
    """Looks at the samples of a file as they are read."""

    def __init__(self, channels: int) -> None:
        self.powers = Powers(channels)
        self.peak = 0.0
        self._count = self._beyond = 0

    def push(self, block: Block) -> None:
        """Look at a block."""
        peak = max(float(block.max()), -float(block.min()))
        self.peak = max(self.peak, peak)
        self._count += block.size
        if peak > BEYOND:
            self._beyond += int(np.count_nonzero(np.abs(block) > BEYOND))
        self.powers.push(block)

    @property
    def scale(self) -> float:
        """The factor that brings the samples to full scale: 1, or that of whole numbers."""
        if self._beyond <= BEYOND_SHARE * self._count:
            return 1.0
        return 1.0 / next((each for each in RANGES if self.peak <= each), self.peak)

    @property
    def scale_notice(self) -> str:
        """What is odd about the range of the samples, as a sentence; or empty."""
        if self.scale == 1.0:
            return ''
        return (
            f'its samples reach {self.peak:.3g} where full scale is 1: all are divided by '
            f'{1 / self.scale:.0f}'
        )


def _read(
    reader: _Reader, channel: int, scale: float, survey: _Survey, max_duration: float
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


def _amplify(samples: Samples) -> str:
    """Amplify a very quiet recording in place; return what was odd as a sentence, or ''."""
    if not len(samples):
        return ''
    loudest = _loudest(samples)
    if loudest <= -119:
        return 'it holds only zeros'
    if loudest >= QUIET:
        return ''
    if loudest < SILENT:
        return f'it is silent: its loudest second has {loudest:.0f} dBFS'
    gain = NORMAL - loudest
    samples *= np.float32(10 ** (gain / 20))
    np.clip(samples, -1, 1, out=samples)
    return f'it is very quiet ({loudest:.0f} dBFS): amplified by {gain:.0f} dB'


def _loudest(samples: Samples) -> float:
    """Return the level in dBFS that the loudest second has, or a tenth of a short recording."""
    whole = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
    if not len(whole):
        whole = samples[None]
    powers = np.sort(np.einsum('ij,ij->i', whole, whole)) / whole.shape[1]
    return decibels(float(powers[-min(LOUD_WINDOWS, -(-len(powers) // 10))]))


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
