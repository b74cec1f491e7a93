"""The level of a signal, and its faults: only zeros, clipping, too quiet."""

from collections import deque
import math

import numpy as np

from ..core.audio_format import frame_count, FRAME_DURATION, Samples
from .high_pass import HighPass

ZEROS_AFTER = 3.0  # s of digital silence, which no real microphone delivers
RECENT = 3  # frames: a tenth of a second
CLIPPED = 0.999  # of full scale
CLIPPING = 0.01  # share of the samples of a second from which it is heard as distortion
QUIET = -50.0  # dBFS: Silero and Whisper begin to miss words below


class LevelMeter:
    """Follows the frames of a microphone."""

    def __init__(self) -> None:
        self._powers: deque[float] = deque(maxlen=RECENT)
        self._high_pass = HighPass()
        self._zeros = 0
        self._clipped = 0.0
        self.level = -120.0
        """Of the last tenth of a second, in dBFS, without a constant offset and rumble."""

    def push(self, frame: Samples) -> None:
        """Take the next frame."""
        peak = max(float(frame.max()), -float(frame.min()))
        self._zeros = 0 if peak else self._zeros + 1
        share = float(np.mean(np.abs(frame) >= CLIPPED)) if peak >= CLIPPED else 0.0
        self._clipped += (share - self._clipped) * FRAME_DURATION  # over about a second
        self._powers.append(power(self._high_pass(frame)))
        self.level = decibels(sum(self._powers) / len(self._powers))

    @property
    def problem(self) -> str:
        """The fault of the signal, in one sentence; or empty."""
        if self._zeros >= frame_count(ZEROS_AFTER):
            return (
                'the microphone delivers only zeros: it is muted, or people speak into '
                'another one'
            )
        if self._clipped > CLIPPING:
            return 'the microphone clips: turn its volume down'
        return ''


def quiet_hint(loudest: float) -> str:
    """Say that the microphone is too quiet, if the loudest level in dBFS was; or return ''."""
    if loudest <= -119:
        return 'the microphone delivered only zeros'
    if loudest < QUIET:
        return (
            f"the loudest sound had {loudest:.0f} dBFS: turn the microphone's volume up, or "
            'choose another one'
        )
    return ''


def level(samples: Samples) -> float:
    """Return the root mean square in dBFS: 0 is full scale, -120 is silence."""
    return decibels(power(samples))


def power(samples: Samples) -> float:
    """Return the mean square; one product of vectors, since each frame's is wanted."""
    return float(np.dot(samples, samples)) / len(samples) if len(samples) else 0.0


def variance(samples: Samples) -> float:
    """Return the mean square without a constant offset."""
    if not len(samples):
        return 0.0
    return max(0.0, power(samples) - float(samples.mean()) ** 2)


def decibels(mean_square: float) -> float:
    """Return a mean square as dBFS."""
    return max(-120.0, 10 * math.log10(mean_square + 1e-12))
