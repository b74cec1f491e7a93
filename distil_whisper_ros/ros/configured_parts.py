"""What configure makes: the loaded model, its queue, and turn detection; cleanup frees it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import time
from typing import Any, Protocol

from ..core.errors import ModelError
from ..core.scheduler import Priority, Scheduler
from ..core.settings import Settings
from ..speech.batch_transcription import TranscriptionQueue
from ..speech.turn_detector import TurnDetector
from ..speech.voice_activity import VoiceActivity

UNLOADING = 30.0  # s for a transcription under way to see that the model is being unloaded


class Reports(Protocol):
    """Where the parts tell what happens; called from their threads."""

    def on_progress(self, step: str, share: float) -> None:
        """Take how far loading is; the share is from 0 to 1."""

    def on_resting(self, resting: bool) -> None:
        """Take that the model's memory was freed, or that it is loaded again."""

    def on_idle(self, seconds: float) -> None:
        """Take for how long nobody has needed the model."""

    def on_warning(self, notice: str) -> None:
        """Take what is odd about a recording or a prompt."""

    def on_failure(self, error: Exception) -> None:
        """Take an unexpected exception."""

    def on_late_failure(self, error: BaseException) -> None:
        """Take an exception of a job whose result nobody wants any more."""


@dataclass(frozen=True)
class ConfiguredParts:
    """The parts that configure makes and cleanup frees."""

    model: str
    transcriber: Any
    scheduler: Scheduler
    queue: TranscriptionQueue
    turn_detector: TurnDetector
    loading_took: float
    """In seconds."""

    @property
    def device(self) -> str:
        """The device that the model runs on."""
        return str(self.transcriber.device)

    def rest(self) -> bool:
        """Free the memory of the model; return whether there was any."""
        return self.transcriber.rest()

    def wake(self) -> None:
        """Load a model that rests, before it is needed; its next job tells what is wrong."""
        if self.transcriber.resting:
            self.scheduler.submit(Priority.SPECULATIVE, lambda _: self.transcriber.wake())

    def prepare(self, settings: Callable[[], Settings]) -> None:
        """Make what the first utterance would wait for, in between other jobs.

        `settings` are asked then; if they are wrong, an utterance tells it.
        """
        self.scheduler.submit(
            Priority.BATCH, lambda job: self.transcriber.prepare(settings().decoding, job)
        )

    def close(self) -> None:
        """End every job, and free the memory."""
        self.queue.close()
        self.turn_detector.close()
        self.scheduler.close(UNLOADING)
        self.transcriber.close()


def load(settings: Settings, ids: Iterator[int], reports: Reports) -> ConfiguredParts:
    """Load the model and warm it up; raise a SpeechError that says what is wrong."""
    reports.on_progress('loading PyTorch', 0.0)
    try:
        from ..whisper.checkpoint import find_turn_model, is_here
        from ..whisper.transcriber import Transcriber
    except Exception as error:  # a library that was imported in part fails in odd ways
        cause = ' '.join(str(error).split())
        raise ModelError(
            f'PyTorch and transformers cannot be imported ({type(error).__name__}: {cause}): '
            'end other programs if memory is full, or install them again; then restart the '
            'node'
        ) from error

    started = time.monotonic()
    # Nothing leaves the machine of somebody who has the model already, for turn detection
    # neither.
    offline = settings.model.offline or is_here(settings.model.id, settings.model.revision)
    detector = TurnDetector(
        lambda: find_turn_model(settings.utterance.turn_model, offline, _untold),
        reports.on_warning,
        reports.on_late_failure,
    )
    scheduler = Scheduler(reports.on_late_failure, on_idle=reports.on_idle)
    # In the thread that uses it: PyTorch keeps threads and 13 MB for each that computes.
    loading = scheduler.submit(
        Priority.FINAL,
        lambda _: Transcriber(
            settings.model,
            reports.on_progress,
            reports.on_warning,
            reports.on_resting,
            lambda: detector.busy,
        ),
    )
    try:
        transcriber = loading.future.result()
    except BaseException:
        scheduler.close()
        detector.close()
        raise
    queue = TranscriptionQueue(transcriber, VoiceActivity(), scheduler, ids, reports.on_failure)
    if settings.utterance.turn_detection != 'silence':
        detector.load()
    took = time.monotonic() - started
    return ConfiguredParts(settings.model.id, transcriber, scheduler, queue, detector, took)


def _untold(_step: str, _share: float) -> None:
    """Take the progress of a small download that nobody waits for."""
