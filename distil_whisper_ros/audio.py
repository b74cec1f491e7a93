"""The one audio format behind the edge: 16 kHz, mono, float32 in [-1, 1], in frames of 32 ms."""

from collections.abc import Iterator
from dataclasses import dataclass
import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000  # Hz: what Whisper and Silero were trained on
FRAME_LENGTH = 512  # samples: what Silero takes
FRAME_DURATION = FRAME_LENGTH / SAMPLE_RATE  # 0.032 s

Samples = npt.NDArray[np.float32]
"""Audio in the one format, shape (samples,)."""


@dataclass(frozen=True)
class Frame:
    """FRAME_LENGTH samples, and when the first was captured, in seconds since the epoch."""

    samples: Samples
    time: float


@dataclass(frozen=True)
class Health:
    """How a source of audio does."""

    name: str
    """The device or file."""
    open: bool = False
    problem: str = ''
    """What is wrong and what to do about it, in one sentence; empty if all is well."""
    sample_rate: int = 0
    """In Hz, as the device delivers."""
    channels: int = 0
    level: float = -120.0
    """Of the last tenth of a second, in dBFS."""
    overflows: int = 0
    """Times that the device or this machine was too slow, and samples were lost."""
    lost: float = 0.0
    """Seconds of audio lost while somebody listened."""
    restarts: int = 0
    """Times that the device was opened anew."""


class AudioSource(Protocol):
    """Where frames come from. One thread begins, reads and ends; any may open and close."""

    patient: bool
    """Set while nobody speaks: frames may come a little late, several at once, which costs less.
    `begin` takes it back."""

    @property
    def live(self) -> bool:
        """Whether frames come as they are spoken, and are lost if nobody reads them in time."""
        ...

    def open(self) -> None:
        """Make the source ready, or raise an AudioError."""
        ...

    def begin(self) -> None:
        """Begin an utterance: the next read returns the oldest frame of the pre-roll."""
        ...

    def read(self) -> Frame | None:
        """Return the next frame, or None after a tenth of a second, or two, without one.

        Raise EOFError at the end of a recording, and DeviceError when the device is gone.
        """
        ...

    def end(self) -> None:
        """End an utterance: from now on only the pre-roll is kept."""
        ...

    def close(self) -> None:
        """Release the device."""
        ...

    def health(self) -> Health:
        """Return how the source does."""
        ...


class Framer:
    """Cuts a stream of blocks into frames, and carries the capture times over."""

    LARGEST_DRIFT = 0.1  # s: more is a gap, and the frames' times follow it

    def __init__(self) -> None:
        self._pending = np.empty(0, np.float32)
        self._time = 0.0  # of the first pending sample

    def push(self, samples: Samples, time: float) -> Iterator[Frame]:
        """Add a block whose first sample was captured at `time`; yield the frames it completes."""
        expected = self._time + len(self._pending) / SAMPLE_RATE
        if abs(time - expected) > self.LARGEST_DRIFT:
            self._time = time - len(self._pending) / SAMPLE_RATE
        self._pending = np.concatenate((self._pending, samples))
        while len(self._pending) >= FRAME_LENGTH:
            frame = Frame(self._pending[:FRAME_LENGTH].copy(), self._time)
            self._pending = self._pending[FRAME_LENGTH:]
            self._time += FRAME_DURATION
            yield frame

    def flush(self) -> Iterator[Frame]:
        """Yield what is left, filled up with zeros."""
        if len(self._pending):
            rest = np.zeros(FRAME_LENGTH - len(self._pending), np.float32)
            yield from self.push(rest, self._time + len(self._pending) / SAMPLE_RATE)


def frame_count(seconds: float) -> int:
    """Return how many frames hold so many seconds, rounded, and at least one."""
    return max(1, round(seconds / FRAME_DURATION))


def level(samples: Samples) -> float:
    """Return the root mean square in dBFS: 0 is full scale, -120 is silence."""
    return decibels(power(samples))


def power(samples: Samples) -> float:
    """Return the mean square; one product of vectors, since each frame's is wanted."""
    return float(np.dot(samples, samples)) / len(samples) if len(samples) else 0.0


def decibels(mean_square: float) -> float:
    """Return a mean square as dBFS."""
    return max(-120.0, 10 * math.log10(mean_square + 1e-12))
