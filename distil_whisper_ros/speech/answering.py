"""The event thread: everything that ends a request, from its complete utterance to its answer.

    listening ──utterance──► _on_heard ──► the model ──► _on_transcribed ──► _finish ──► answer
                                 └── nobody spoke ─────────────────────────────┘

No exception ends the thread: the request that it belongs to ends with FAILED. Other threads only
post calls to it, by a queue, so its own fields and the jobs of the requests need no lock.
"""

from collections.abc import Callable
from dataclasses import replace
import queue

from ..audio.source import AudioSource
from ..core.audio_format import frame_count
from ..core.errors import SpeechError
from ..core.scheduler import Job, JobAborted, Priority
from ..core.settings import ModelSettings
from ..core.types import Ending, Outcome, Transcript, Utterance
from .agenda import Agenda
from .observer import Observer
from .outcomes import canceled, dropped, failed, Outcomes
from .request import Request
from .speculation import Speculation

WHOLE = (
    Ending.SILENCE,
    Ending.SMART_TURN,
    Ending.TEXT,
    Ending.COMMAND,
    Ending.MAX_DURATION,
)  # endings behind which the source goes on


class Answering:
    """Brings each utterance to the model and back, and gives each request its one answer."""

    def __init__(
        self,
        source: AudioSource,
        agenda: Agenda,
        outcomes: Outcomes,
        transcribe: Callable[[Utterance, ModelSettings], Job],
        observer: Observer,
    ) -> None:
        """`transcribe` starts to transcribe all of an utterance."""
        self._source = source
        self._agenda = agenda
        self._outcomes = outcomes
        self._transcribe = transcribe
        self._observer = observer
        self._events: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.dropped = 0
        """Utterances that were dropped since the model is too slow for hands-free."""

    # Any thread

    def take(self, request: Request, utterance: Utterance, ahead: Speculation) -> None:
        """Go on with a complete utterance."""
        self._post(request, self._on_heard, request, utterance, ahead)

    def cancel(self, request: Request) -> None:
        """Answer a request that is canceled."""
        self._post(request, self._cancel, request)

    def answer(self, request: Request, transcript: Transcript) -> None:
        """Answer a request, unless it has an answer by then."""
        self._post(request, self._finish, request, transcript)

    def post(self, call: Callable[[], None]) -> None:
        """Run a call that belongs to no request."""
        self._post(None, call)

    def end(self) -> None:
        """Let `run` return after what was posted so far."""
        self._events.put(None)

    def fail(self, error: Exception) -> None:
        """Report an unexpected exception."""
        try:
            self._observer.on_failure(error)
        except Exception:  # the report itself failed: the thread goes on
            pass

    def _post(
        self, request: Request | None, call: Callable[..., None], *arguments: object
    ) -> None:
        """Run a call on the event thread; if it fails, `request` ends with FAILED."""

        def event() -> None:
            try:
                call(*arguments)
            except Exception as error:
                self.fail(error)
                if request is not None:
                    self._finish(request, failed(error))

        self._events.put(event)

    # The event thread

    def run(self) -> None:
        """Run what is posted, one call after the other, until `end`."""
        while (event := self._events.get()) is not None:
            try:
                event()
            except Exception as error:  # not even a failed report ends the thread
                self.fail(error)

    def _on_heard(self, request: Request, utterance: Utterance, ahead: Speculation) -> None:
        """Start to transcribe an utterance, or answer at once if nobody spoke."""
        if request.future.done():
            ahead.discard()
            self._agenda.settle()
            return
        interrupted = utterance.ending is Ending.SELF_SPEECH and utterance.note
        if request.ends_unheard or not utterance.voiced or interrupted:
            ahead.discard()
            self._finish(request, self._outcomes.unheard(request, utterance))
            return
        model = request.settings.decoding
        if not self._agenda.attention.expects(utterance):
            model = request.with_names(model)
        job = ahead.take(utterance, model) or ahead.submit(Priority.FINAL, utterance, model)
        self._await(request, utterance, job)
        self._drop_oldest(request.settings.hands_free.queue_length)

    def _await(self, request: Request, utterance: Utterance, job: Job) -> None:
        """Go on when a request's transcription is done."""
        request.job = job
        job.when_done(
            lambda done: self._post(request, self._on_transcribed, request, utterance, done)
        )

    def _drop_oldest(self, length: int) -> None:
        """Drop the oldest utterances of hands-free listening, if too many wait for the model."""
        if not self._agenda.hands_free or not self._source.live:
            return
        waiting = self._agenda.waiting_for_model()
        while len(waiting) > length:
            request = waiting.pop(0)
            job = request.job
            if request.implicit and job is not None:
                self.dropped += 1
                self._finish(request, dropped(self.dropped, request.utterance))
                job.abort()

    def _on_transcribed(self, request: Request, utterance: Utterance, job: Job) -> None:
        """Filter the text of a job that is done, and answer."""
        if request.future.done():
            return
        try:
            hypothesis = job.future.result()
        except JobAborted:
            transcript = canceled(request.halt_reason or 'the model was unloaded', utterance)
        except SpeechError as error:
            transcript = Transcript(Outcome.FAILED, reason=str(error), utterance=utterance)
        except Exception as error:
            self.fail(error)
            transcript = failed(error)
        else:
            if self._outcomes.is_addressed_late(hypothesis, utterance, request):
                again = self._transcribe(utterance, request.settings.decoding)
                self._await(request, utterance, again)
                return
            transcript = self._outcomes.of_text(hypothesis, utterance, request)
            unsaid = transcript.outcome in (Outcome.REJECTED, Outcome.SELF_SPEECH)
            if unsaid and self._has_time(request, utterance):
                transcript = replace(transcript, id=request.id)
                if self._wait_on(request, transcript):
                    return
        self._finish(request, transcript)

    def _has_time(self, request: Request, utterance: Utterance) -> bool:
        """Return whether a request goes on after a cough: its time to wait is not over."""
        settings = request.settings.utterance
        over = request.frames_waited >= frame_count(settings.wait_for_speech)
        whole = utterance.ending in WHOLE
        stopped = request.implicit or request.halt is not None
        return whole and settings.endpointing and not over and not stopped

    def _wait_on(self, request: Request, rejected: Transcript) -> bool:
        """Publish the rejected text, and go on listening for the same request.

        Return False if it must end, since mute or close came meanwhile.
        """
        try:
            self._observer.on_transcript(rejected)
        except Exception as error:
            self.fail(error)
        return self._agenda.resume(request, rejected)

    def _cancel(self, request: Request) -> None:
        """Answer a canceled request."""
        job = request.job
        self._finish(request, canceled(request.halt_reason))
        if job is not None:
            job.abort()

    def _finish(self, request: Request, transcript: Transcript) -> None:
        """Answer a request, unless it has an answer; the observer hears of it first."""
        if not request.claim():
            return
        request.job = None  # it refers to the request, and both to the audio
        known = transcript is request.rejected
        transcript = transcript if known else replace(transcript, id=request.id)
        self._agenda.remove(request)
        # Ready before anybody hears of the answer: whoever hears of it may ask at once.
        self._agenda.settle()
        heard = transcript.utterance is not None and transcript.utterance.voiced > 0
        told = heard or not request.implicit or transcript.outcome is Outcome.FAILED
        if transcript.outcome is Outcome.NOT_ADDRESSED:
            told = request.settings.hands_free.publish_unaddressed
        try:
            if told and not known and transcript.outcome is not Outcome.CANCELED:
                self._observer.on_transcript(transcript)
        except Exception as error:  # the request ends all the same
            self.fail(error)
        finally:
            request.answer(transcript)
