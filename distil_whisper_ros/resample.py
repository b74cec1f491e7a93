"""Any rate and number of channels to the one format, with the SoX resampler."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from .audio import SAMPLE_RATE, Samples

Buffer = Any  # typing has a name for it from Python 3.12 on


class Resampler:
    """Turns a stream of blocks, shape (samples, channels), into the one format.

    Without a change of rate nothing is delayed; else the first block lacks the filter's length,
    which `flush` returns.
    """

    def __init__(self, sample_rate: int) -> None:
        """`sample_rate` is the stream's, in Hz."""
        self._stream = None
        if sample_rate != SAMPLE_RATE:
            self._stream = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype='float32')

    def push(self, block: npt.NDArray[np.float32]) -> Samples:
        """Mix and resample the next block."""
        samples = mix(block)
        return samples if self._stream is None else self._stream.resample_chunk(samples)

    def flush(self) -> Samples:
        """Return the samples that the filter still held; the stream is over."""
        empty = np.empty(0, np.float32)
        return empty if self._stream is None else self._stream.resample_chunk(empty, last=True)


def mix(block: npt.NDArray[np.float32]) -> Samples:
    """Return the mean of the channels of a block of shape (samples, channels)."""
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)


def from_int16(data: Buffer, channels: int) -> npt.NDArray[np.float32]:
    """Return interleaved 16-bit samples as float32 in [-1, 1], shape (samples, channels)."""
    samples = np.frombuffer(data, np.int16).reshape(-1, channels)
    return np.divide(samples, 32768, dtype=np.float32)


def from_bytes(data: Sequence[int] | Buffer, channels: int) -> npt.NDArray[np.float32]:
    """Return the bytes of little-endian 16-bit samples as float32, shape (samples, channels)."""
    return from_int16(np.asarray(data, np.uint8).tobytes(), channels)


def from_numbers(
    values: Sequence[float] | Buffer, channels: int, scale: float, offset: float = 0.0
) -> npt.NDArray[np.float32]:
    """Return interleaved numbers as float32, shape (samples, channels).

    `scale` is the full scale of the numbers, `offset` what stands for zero.
    """
    samples = (np.asarray(values, np.float64) - offset) / scale
    return samples.reshape(-1, channels).astype(np.float32)


def to_int16(samples: Samples) -> npt.NDArray[np.int16]:
    """Return float32 samples in [-1, 1] as 16-bit ones; louder ones are clipped."""
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


def resample(block: npt.NDArray[np.float32], sample_rate: int) -> Samples:
    """Mix and resample a whole recording of shape (samples, channels)."""
    resampler = Resampler(sample_rate)
    return np.concatenate((resampler.push(block), resampler.flush()))
