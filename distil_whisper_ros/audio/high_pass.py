"""Remove a constant offset and rumble from frames: they are no sound that anybody speaks."""

import math
from typing import Any

import numpy as np

from ..core.audio_format import FRAME_LENGTH, SAMPLE_RATE, Samples

CUTOFF = 70.0  # Hz: the lowest voices of men begin at 85 Hz


class HighPass:
    """A Butterworth filter of second order, which takes frame by frame.

    The filter's coefficients are those of Robert Bristow-Johnson's "Cookbook formulae for audio EQ
    biquad filter coefficients". The recursion is written out for a frame as two products with
    matrices, so that no loop runs over samples.
    """

    def __init__(self) -> None:
        self._state: Any = None

    def __call__(self, frame: Samples) -> Samples:
        """Return the next frame of FRAME_LENGTH samples, filtered."""
        if self._state is None:  # as if the offset had been there for ever: no click
            self._state = REST * frame.mean()
        filtered = INPUT @ frame + STATE @ self._state
        self._state = NEXT_INPUT @ frame + NEXT_STATE @ self._state
        return filtered

    def reset(self) -> None:
        """Forget the frames so far."""
        self._state = None


def _matrices() -> tuple[Any, ...]:
    """Return the filter of a frame: output and next state, each from the frame and the state.

    The last one is the state after a constant input of 1.

    The state is that of the transposed direct form II.
    """
    omega = 2 * math.pi * CUTOFF / SAMPLE_RATE
    alpha = math.sin(omega) / math.sqrt(2)
    cosine, scale = math.cos(omega), 1 + alpha
    b = np.array([(1 + cosine) / 2, -(1 + cosine), (1 + cosine) / 2]) / scale
    a = np.array([-2 * cosine, 1 - alpha]) / scale
    # state' = step @ state + gain * x, y = state[0] + b[0] * x
    step = np.array([[-a[0], 1.0], [-a[1], 0.0]])
    gain = np.array([b[1] - a[0] * b[0], b[2] - a[1] * b[0]])
    powers = [np.eye(2)]
    for _ in range(FRAME_LENGTH):
        powers.append(step @ powers[-1])
    from_state = np.array([power[0] for power in powers[:FRAME_LENGTH]])
    impulse = [b[0], *(float(power[0] @ gain) for power in powers[: FRAME_LENGTH - 1])]
    delay = np.arange(FRAME_LENGTH)[:, None] - np.arange(FRAME_LENGTH)
    from_input = np.where(delay < 0, 0.0, np.array(impulse)[delay])
    next_input = np.array([power @ gain for power in powers[FRAME_LENGTH - 1 :: -1]]).T
    rest = np.array([-b[0], b[2]])
    parts = (from_input, from_state, next_input, powers[FRAME_LENGTH], rest)
    return tuple(np.ascontiguousarray(part, np.float32) for part in parts)


INPUT, STATE, NEXT_INPUT, NEXT_STATE, REST = _matrices()
