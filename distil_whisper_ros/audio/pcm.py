"""Samples in the formats of messages and devices, to and from float32."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.audio_format import Samples

Buffer = Any  # typing has a name for it from Python 3.12 on


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

    `scale` is the full scale of the numbers, `offset` the number that stands for zero.
    """
    samples = (np.asarray(values, np.float64) - offset) / scale
    return samples.reshape(-1, channels).astype(np.float32)


def to_int16(samples: Samples) -> npt.NDArray[np.int16]:
    """Return float32 samples in [-1, 1] as 16-bit ones; louder ones are clipped."""
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
