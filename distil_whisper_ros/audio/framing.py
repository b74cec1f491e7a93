"""Blocks of any length to frames of one length."""

from collections.abc import Iterator

import numpy as np

from ..core.audio_format import Frame, FRAME_DURATION, FRAME_LENGTH, SAMPLE_RATE, Samples


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
        """Yield the samples left, filled up with zeros."""
        if len(self._pending):
            rest = np.zeros(FRAME_LENGTH - len(self._pending), np.float32)
            yield from self.push(rest, self._time + len(self._pending) / SAMPLE_RATE)


def frames_of(samples: Samples) -> Iterator[Samples]:
    """Yield the frames of a whole recording, the last one filled up with zeros; copy nothing."""
    for first in range(0, len(samples), FRAME_LENGTH):
        frame = samples[first : first + FRAME_LENGTH]
        if len(frame) < FRAME_LENGTH:
            frame = np.pad(frame, (0, FRAME_LENGTH - len(frame)))
        yield frame
