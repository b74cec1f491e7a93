"""The one audio format behind the edge: 16 kHz, mono, float32 in [-1, 1], in frames of 32 ms."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000  # Hz: Whisper and Silero were trained on it
FRAME_LENGTH = 512  # samples: Silero takes frames of this length
FRAME_DURATION = FRAME_LENGTH / SAMPLE_RATE  # 0.032 s

Samples = npt.NDArray[np.float32]
"""Audio in the one format, shape (samples,)."""


@dataclass(frozen=True)
class Frame:
    """FRAME_LENGTH samples and their capture time."""

    samples: Samples
    time: float
    """When the first sample was captured, in seconds of time.monotonic()."""


def frame_count(seconds: float) -> int:
    """Return how many frames hold so many seconds, rounded, and at least one."""
    return max(1, round(seconds / FRAME_DURATION))
