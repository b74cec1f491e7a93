"""Formats of telephones and the web, which libsndfile does not read, by way of PyAV.

PyAV (FFmpeg) is optional. It never chooses the format: some of FFmpeg's read other files or the
network, so each file is opened as the kind that its first bytes show.
"""

from collections.abc import Iterator
import importlib
from typing import Any, BinaryIO

import numpy as np

from ..core.errors import FileError
from .channels import Block

HEAD = 64  # bytes that show the kind


def kind_of(head: bytes) -> tuple[str, str] | None:
    """Return a file's kind for people and FFmpeg's name of it, by its first bytes; or None."""
    if head[4:8] == b'ftyp':
        return 'M4A, MP4 or 3GP', 'mov'
    if head.startswith(b'\x1a\x45\xdf\xa3'):
        return 'WebM or Matroska', 'matroska'
    if head.startswith(b'OggS'):
        return 'OGG', 'ogg'
    if head.startswith(b'#!AMR'):
        return 'AMR', 'amr'
    if head.startswith(b'\x30\x26\xb2\x75\x8e\x66\xcf\x11'):
        return 'WMA', 'asf'
    if head[:1] == b'\xff' and head[1:2] and head[1] & 0xF6 == 0xF0:
        return 'AAC', 'aac'
    if head.startswith(b'ID3') or (head[:1] == b'\xff' and head[1:2] and head[1] & 0xE0 == 0xE0):
        return 'MP3', 'mp3'
    return None


class CompressedReader:
    """Reads the first audio stream of a file in blocks."""

    def __init__(self, file: BinaryIO, kind: str, form: str, name: str) -> None:
        """Open a file; raise a FileError if PyAV is missing or cannot read it.

        `kind` and `form` are of `kind_of`; `name` is the file's for people.
        """
        try:
            self._av: Any = importlib.import_module('av')
        except ImportError as error:
            raise FileError(
                f'{name} is {kind}, which needs PyAV: install it (pip install av), or convert the '
                'recording to WAV (ffmpeg -i FILE out.wav)'
            ) from error
        self.notice = ''
        try:
            self._container = self._av.open(file, format=form, metadata_errors='ignore')
        except Exception as error:  # the errors of FFmpeg have no common class in all versions
            raise FileError(
                f'{name} is not a recording that can be read ({kind}: {_reason(error)})'
            ) from error
        streams = self._container.streams.audio
        if not streams:
            self.close()
            raise FileError(f'{name} has no audio: it is {kind} without an audio stream')
        self._stream = streams[0]
        self.sample_rate = int(self._stream.codec_context.sample_rate or 0)
        self.channels = int(self._stream.codec_context.channels or 0)

    def blocks(self) -> Iterator[Block]:
        """Yield blocks of shape (samples, channels); set `notice` if the end is damaged."""
        samples = 0
        convert = self._av.AudioResampler(format='fltp')
        try:
            for frame in self._container.decode(self._stream):
                for part in convert.resample(frame):
                    block = np.ascontiguousarray(part.to_ndarray().T, np.float32)
                    if block.shape[1] == self.channels:
                        samples += len(block)
                        yield block
        except self._av.FFmpegError as error:
            if not samples:
                raise ValueError(_reason(error)) from error
            self.notice = damaged(samples / self.sample_rate, _reason(error))

    def close(self) -> None:
        """Free the decoder."""
        self._container.close()


def damaged(seconds: float, reason: str) -> str:
    """Return that a recording can be read only so far, as a sentence."""
    return f'it is damaged after {seconds:.1f} s ({reason}): only the audio before is used'


def _reason(error: Exception) -> str:
    text = getattr(error, 'strerror', None) or str(error) or type(error).__name__
    return ' '.join(str(text).split())
