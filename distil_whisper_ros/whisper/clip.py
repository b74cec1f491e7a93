"""The audio of one segment."""

from dataclasses import dataclass, replace

from ..core.audio_format import FRAME_DURATION, FRAME_LENGTH, SAMPLE_RATE, Samples
from ..core.types import Utterance
from .word_timestamps import VOICED


@dataclass(frozen=True)
class Clip:
    """The audio of one segment."""

    samples: Samples
    start: float
    """In seconds from the utterance's first sample."""
    speech: tuple[float, ...]
    """Probability of speech of each frame; empty if it is unknown."""

    @classmethod
    def of(cls, utterance: Utterance, first: int, last: int) -> 'Clip':
        """Cut the samples from `first` until before `last` out of an utterance."""
        speech = utterance.speech[first // FRAME_LENGTH : -(-last // FRAME_LENGTH)]
        return cls(utterance.samples[first:last], first / SAMPLE_RATE, speech)

    @property
    def duration(self) -> float:
        """Its length in seconds."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def voiced(self) -> float:
        """How much of it is speech, in seconds; 0 if that is unknown."""
        return sum(probability >= VOICED for probability in self.speech) * FRAME_DURATION

    def split(self, cut: int) -> tuple['Clip', 'Clip']:
        """Return the clips before and after the sample `cut`."""
        frame = cut // FRAME_LENGTH
        return (
            replace(self, samples=self.samples[:cut], speech=self.speech[:frame]),
            Clip(self.samples[cut:], self.start + cut / SAMPLE_RATE, self.speech[frame:]),
        )
