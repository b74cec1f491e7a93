"""Collects the evidence at each pause of an utterance: which pause ends it, frame by frame."""

from collections.abc import Callable
from typing import Protocol

from ..core.audio_format import frame_count, Samples
from ..core.scheduler import Job
from ..core.settings import Settings
from ..core.types import Ending, Hypothesis
from .turn_taking import Evidence, required_pause, text_evidence, TextEvidence

# Frames of a pause at which Smart Turn is asked: when the transcription begins, unless the machine
# is slow.
ASKED = 3


class TurnDetector(Protocol):
    """Answers whether a person who pauses is done."""

    def ask(self, samples: Samples, /) -> Job | None:
        """Start to judge speech that ends in a pause; None if nothing can answer."""
        ...


class TurnWatch:
    """Follows the pauses of one utterance. The listener's thread calls it."""

    def __init__(
        self, detector: TurnDetector | None, on_evidence: Callable[[], None] = lambda: None
    ) -> None:
        """Without a detector, silence decides. `on_evidence` is called when it has answered."""
        self._detector, self._on_evidence = detector, on_evidence
        self._job: Job | None = None
        self._hypothesis: Hypothesis | None = None
        self._text: TextEvidence | None = None

    def follow(self, pause: int, settings: Settings, heard: Callable[[], Samples]) -> None:
        """Take the length of the pause after a frame, in frames; 0 while the person speaks.

        `heard` returns the speech so far with the pause.
        """
        if pause == 0:
            self.discard()
        elif pause == ASKED and settings.utterance.turn_detection != 'silence':
            self.discard()
            if self._detector is not None:
                self._job = self._detector.ask(heard())
            if self._job is not None:
                tell = self._on_evidence  # not self, which keeps the job
                self._job.when_done(lambda _: tell())

    def discard(self) -> None:
        """Forget the pause: the speaker went on, or the utterance is over."""
        if self._job is not None:
            self._job.abort()
        self._job = self._hypothesis = self._text = None

    def required(
        self, voiced: float, hypothesis: Hypothesis | None, settings: Settings
    ) -> tuple[int, Ending] | None:
        """Return how many frames of silence end the utterance now, and its ending then.

        None leaves it to `end_silence`. `voiced` is how much speech there was, in seconds;
        `hypothesis` the text up to the pause, if it is known.
        """
        if self._job is None or not self._job.future.done():
            return None
        evidence = Evidence(voiced, self._probability(), self._text_of(hypothesis, settings))
        pause, ending = required_pause(evidence, settings.utterance)
        return frame_count(pause), ending

    def _probability(self) -> float | None:
        future = self._job.future if self._job is not None else None
        if future is None or future.exception() is not None:
            return None
        return future.result()

    def _text_of(self, hypothesis: Hypothesis | None, settings: Settings) -> TextEvidence | None:
        if hypothesis is None:
            return None
        if hypothesis is not self._hypothesis:
            self._hypothesis = hypothesis
            known = settings.commands.wordings
            self._text = text_evidence(hypothesis, [each.text for each in known])
        return self._text
