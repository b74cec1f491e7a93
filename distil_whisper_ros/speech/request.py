"""A request to hear an utterance, and what it meets on its way."""

from concurrent.futures import Future
from dataclasses import dataclass, field

from ..core.scheduler import Job
from ..core.settings import ModelSettings, Settings
from ..core.types import Ending, Transcript, Utterance


@dataclass
class Request:
    """One request, from its acceptance to its transcript."""

    id: int
    settings: Settings
    implicit: bool = False
    """Nobody asked for it: it is a turn of hearing hands-free."""
    partial: bool = False
    """Whether its client wants the text while the person speaks."""
    future: 'Future[Transcript]' = field(default_factory=Future)
    guess: 'Speculation | None' = None
    halt: Ending | None = None
    """Set by stop, cancel and mute; read at each frame."""
    why: str = ''
    """Why it was halted, if there is more to say than that."""

    def result(self, timeout: float | None = None) -> Transcript:
        """Wait for what came of it."""
        return self.future.result(timeout)


@dataclass(frozen=True)
class Speculation:
    """A transcription that was begun at a pause, in case the utterance ends there."""

    utterance: Utterance
    settings: ModelSettings
    job: Job

    def fits(self, utterance: Utterance, settings: ModelSettings) -> bool:
        """Return whether it was of the same audio, and meant in the same way."""
        mine = self.utterance
        same = (mine.time, len(mine.samples)) == (utterance.time, len(utterance.samples))
        return same and self.settings == settings and not self.job.aborted
