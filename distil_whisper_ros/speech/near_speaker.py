"""Tell the person who speaks near the microphone from voices far behind, as a television.

Voice activity hears both. But who speaks to a robot is near and much louder, so once somebody has
spoken for a while, what is far below that level counts as a pause. The figures were chosen on 14
sentences with a book read aloud 10 to 20 dB below, and on sentences and short words of people
without one: see benchmarks/far_voice.py.
"""

from collections import deque

import numpy as np

from ..audio.high_pass import HighPass
from ..audio.levels import level
from ..core.audio_format import Samples

LOUD = 97  # percentile of the levels of a person's frames that stands for how loud they speak
LEAST = 16  # frames of speech, 0.5 s, from which that is known
KEPT = 320  # frames of speech, 10 s: who walks away becomes quieter
SPAN = 8  # frames, 0.26 s, of which the loudest counts: a weak syllable is no pause
BANG = 3  # frames of which the middle one's level is taken: a bang does not count as loud speech


class NearSpeaker:
    """Follows the frames of one utterance."""

    def __init__(self, distance: float) -> None:
        """Voices `distance` dB below the speaker are far; 0 takes all voices for near."""
        self._distance = distance
        self._high_pass = HighPass()
        self._levels: deque[float] = deque(maxlen=SPAN)
        self._speech: deque[float] = deque(maxlen=KEPT)

    def is_far(self, samples: Samples, spoken: bool) -> bool:
        """Take the next frame; return whether it is far below the level of the speaker.

        `spoken` tells whether voice activity takes it for speech.
        """
        if not self._distance:
            return False
        self._levels.append(level(self._high_pass(samples)))
        far = len(self._speech) >= LEAST and (
            max(self._levels) < float(np.percentile(self._speech, LOUD)) - self._distance
        )
        if spoken and not far:
            latest = sorted([*self._levels][-BANG:])
            self._speech.append(latest[(len(latest) - 1) // 2])
        return far
