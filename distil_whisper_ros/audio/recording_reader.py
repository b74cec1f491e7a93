"""Readers of recordings: one for each library that reads files, block by block."""

from collections.abc import Iterator
from typing import BinaryIO, Protocol

import numpy as np
import soundfile

from ..core.errors import FileError
from .channels import Block
from .compressed import CompressedReader, damaged, HEAD, kind_of
from .file_header import repaired

BLOCK_LENGTH = 1 << 20  # samples of all channels that are read at once: 4 MB
COMPRESSED = ('FLAC', 'OGG', 'MP3')
SHORT_BLOCK_LENGTH = 1 << 14  # samples of all channels
MACOS = b'\0\5\x16\7'  # begins a file ._NAME, in which macOS keeps what is not the content

UNREADABLE = (soundfile.SoundFileError, OSError, ValueError, TypeError, RuntimeError)
"""What the readers raise of a file that cannot be read."""


class Reader(Protocol):
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


class SoundFileReader:
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


def open_recording(file: BinaryIO, name: str) -> Reader:
    """Return a reader of a file; raise a FileError or an exception of soundfile."""
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    if head.startswith(MACOS):
        raise FileError(
            f'{name} holds no audio: macOS keeps other data of a file in it; name the file itself'
        )
    try:
        return SoundFileReader(file)
    except (soundfile.SoundFileError, TypeError) as error:
        kind = kind_of(head)
        if kind is None and isinstance(error, TypeError):  # by its name, it has no header
            raise FileError(
                f'{name} is not a recording that can be read: raw samples tell no sample rate; '
                'make a WAV file of them (sox -t raw -r 16000 -e signed -b 16 -c 1)'
            ) from error
        if kind is None:
            raise
    file.seek(0)
    return CompressedReader(file, *kind, name)
