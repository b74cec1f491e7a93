"""Tell a person who interrupts the robot from what the microphone hears of the robot.

Both speak at once, and without a pause. But a person who wants to be heard is louder than what an
echo canceller leaves of the robot. So the levels of the robot's frames are remembered, and what is
clearly above the loudest of them is the person's. The figures were chosen with
benchmarks/interrupt.py.
"""

from collections import deque

import numpy as np

from ..audio.high_pass import HighPass
from ..audio.levels import level
from ..core.audio_format import frame_count, FRAME_DURATION, Samples

LOUD = 90  # percentile of the levels of the robot's frames that stands for how loud it is
LOUDER = 5.0  # dB above it from which a frame is somebody else's
LEAST = 12  # frames of speech, 0.4 s, from which it is known how loud the robot is
KEPT = 160  # frames of speech, 5 s: its volume may change
SPAN = 2  # frames of which the louder one counts: the closed "t" in "stop" is no pause
LONGEST = 3.0  # s of a louder voice without a pause, after which it is the robot's new volume
PAUSE = 0.3  # s


class LouderVoice:
    """Follows what is heard while the robot speaks."""

    def __init__(self) -> None:
        self._high_pass = HighPass()
        self._robot: deque[float] = deque(maxlen=KEPT)
        self._latest: deque[float] = deque(maxlen=SPAN)
        self._lasted = self._paused = 0  # frames of the louder voice, and since it was heard

    def is_louder(self, samples: Samples, spoken: bool) -> bool:
        """Take the next frame; return whether somebody is louder than the robot.

        `spoken` tells whether voice activity takes it for speech.
        """
        self._latest.append(level(self._high_pass(samples)))
        known = len(self._robot) >= LEAST
        louder = known and spoken and max(self._latest) >= self._threshold
        if louder:
            self._lasted, self._paused = self._lasted + self._paused + 1, 0
        else:
            self._paused += 1
            if self._paused * FRAME_DURATION >= PAUSE:
                self._lasted = self._paused = 0
        too_long = self._lasted > frame_count(LONGEST)
        if spoken and (not louder or too_long):
            self._robot.append(self._latest[-1])
        return louder and not too_long

    @property
    def _threshold(self) -> float:
        return float(np.percentile(self._robot, LOUD)) + LOUDER
