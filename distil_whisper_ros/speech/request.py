"""One request to hear an utterance, from its acceptance to its transcript."""

from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from enum import IntEnum
import threading

from ..core.scheduler import Job
from ..core.settings import ModelSettings, Settings
from ..core.types import Ending, Transcript, Utterance


class Stage(IntEnum):
    """How far a request is."""

    QUEUED = 0  # behind another one
    LISTENING = 1  # its utterance is being heard
    TRANSCRIBING = 2  # its utterance is complete
    DONE = 3  # it has its transcript


@dataclass(eq=False)
class Request:
    """A request. Its future always ends with a Transcript; its holders cannot cancel it."""

    id: int
    settings: Settings
    implicit: bool = False
    """Whether it has no client: it is one utterance of hands-free listening."""
    partial: bool = False
    """Whether its client wants the text while the person speaks."""
    future: 'Future[Transcript]' = field(default_factory=Future)
    stage: Stage = Stage.QUEUED
    """Written by the recognizer's parts alone, under the agenda's lock."""
    halt: Ending | None = None
    """Why it must end now: STOPPED, CANCELED or MUTED. The listener reads it at each frame."""
    halt_reason: str = ''
    """More about the halt, as a sentence; or empty."""
    frames_waited: int = 0
    """Frames that were heard for it before the utterance that is heard now."""
    utterance: Utterance | None = None
    """The utterance, once it is complete."""
    rejected: Transcript | None = None
    """The last text that the hallucination filter rejected, after which it waited on."""
    job: Job | None = None
    """Its transcription, once there is one."""

    def __post_init__(self) -> None:
        """Make the future one that only `answer` can end."""
        self.future.set_running_or_notify_cancel()
        self._claimed = False
        self._lock = threading.Lock()

    @property
    def wake_phrases(self) -> list[str]:
        """The phrases of which its text must begin with one; none if it needs no name."""
        return self.settings.hands_free.wake_phrases if self.implicit else []

    @property
    def ends_unheard(self) -> bool:
        """Whether its utterance is not transcribed, since it was canceled or muted."""
        return self.halt in (Ending.CANCELED, Ending.MUTED)

    def with_names(self, model: ModelSettings) -> ModelSettings:
        """Return settings with the names in the prompt, as at the begin of a sentence.

        As hotwords, which end with a period, the names made a small model end its text there.
        """
        names = ' '.join(f'{each[:1].upper()}{each[1:]},' for each in self.wake_phrases)
        return replace(model, prompt=f'{model.prompt} {names}'.strip()) if names else model

    def claim(self) -> bool:
        """Return True for the first caller alone, who must then call `answer`."""
        with self._lock:
            claimed, self._claimed = self._claimed, True
            return not claimed

    def answer(self, transcript: Transcript) -> None:
        """End the request."""
        if not self.future.done():
            self.future.set_result(transcript)

    def result(self, timeout: float | None = None) -> Transcript:
        """Wait up to `timeout` s for the transcript; raise TimeoutError after that."""
        return self.future.result(timeout)
