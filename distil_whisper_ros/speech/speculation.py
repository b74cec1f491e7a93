"""Work ahead while a person speaks: the text at a pause, if that is the end, and partial text."""

from collections.abc import Callable
from dataclasses import replace

from ..core.audio_format import frame_count, FRAME_DURATION
from ..core.errors import SpeechError
from ..core.replacements import rewritten_so_far
from ..core.scheduler import Job, JobAborted, Priority, Scheduler
from ..core.settings import ModelSettings
from ..core.types import Hypothesis, Utterance
from .attention import Attention, behind_name, may_become_name, name_end, without_name
from .hallucination_filter import rejection
from .name_first import FirstWords, NameFirst, Transcribe
from .own_voice import OwnVoice
from .pace import Pace
from .partial_text import LocalAgreement
from .request import Request


class Speculation:
    """The work ahead of one utterance. The listener's thread calls it, but for `_show`."""

    def __init__(
        self,
        request: Request,
        transcribe: Transcribe,
        scheduler: Scheduler,
        post: Callable[[Callable[[], None]], None],
        on_partial: Callable[[Request, str], None],
        pace: Pace | None = None,
        attention: Attention | None = None,
        own_voice: OwnVoice | None = None,
        on_evidence: Callable[[], None] = lambda: None,
    ) -> None:
        """`post` runs a call on the event thread, where `on_partial` gets the settled text.

        `on_evidence` is called when a text at a pause or a draft is there.
        """
        self._on_evidence = on_evidence
        self._pace = pace or Pace()
        self._attention = attention or Attention()
        self._own_voice = own_voice or OwnVoice()
        self._name_first = NameFirst(transcribe, self._attention, self._own_voice)
        self.pause = frame_count(self._pace.pause(request.settings.utterance.end_silence))
        """The number of frames without speech at which to call `transcribe_all`."""
        self.request = request
        self._transcribe = transcribe
        self._scheduler = scheduler
        self._post = post
        self._on_partial = on_partial
        self._agreement = LocalAgreement()
        self._whole: tuple[Utterance, ModelSettings, Job] | None = None
        self._taken: Job | None = None
        self._partial: Job | None = None
        self._frames_since_partial = 0
        self._over = False
        self._begin: int | None = None  # where the text behind the name begins, once it is shown

    def count_frame(self) -> None:
        """Count a frame that came since the last partial text."""
        self._frames_since_partial += 1

    def transcribe_all(self, utterance: Utterance) -> None:
        """Start to transcribe an utterance that may be complete."""
        self.discard()
        model = self._named(self.request.settings.decoding, utterance)
        job = self.submit(Priority.SPECULATIVE, utterance, model)
        self._whole = (utterance, model, job)
        self._show_when_done(job, utterance, self._agreement.settle)
        self._tell_when_done(job)

    @property
    def whole(self) -> tuple[Utterance, Hypothesis] | None:
        """The utterance up to the pause that lasts and its text, once that is known."""
        if self._whole is None:
            return None
        utterance, _, job = self._whole
        if not job.future.done() or job.future.exception() is not None:
            return None
        hypothesis = job.future.result()
        return None if isinstance(hypothesis, FirstWords) else (utterance, hypothesis)

    @property
    def hypothesis(self) -> Hypothesis | None:
        """The text up to the pause that lasts, once it is known; None if nobody said it."""
        if self.whole is None:
            return None
        utterance, hypothesis = self.whole
        rejected = rejection(hypothesis, utterance, self.request.settings.hallucination_filter)
        if rejected:
            return None
        rest = without_name(hypothesis, self.request.wake_phrases)
        return rest if rest.text else hypothesis

    @property
    def due(self) -> bool:
        """Whether the next partial text may start."""
        waited = self._frames_since_partial * FRAME_DURATION
        period = self.request.settings.partial.period
        if self._partial is not None:  # the first one comes as soon as it may
            period = self._pace.partial_period(period)
        return waited >= period and self._scheduler.idle

    def transcribe_partial(self, utterance: Utterance) -> None:
        """Start to transcribe an utterance that goes on."""
        self._frames_since_partial = 0
        model = self._named(self.request.settings.model, utterance)
        # What is in doubt is not searched: the words behind it will settle it.
        width = model.beam_width or 1
        model = replace(model, word_timestamps=False, beam_width=width)
        self._partial = self.submit(Priority.PARTIAL, utterance, model)
        self._show_when_done(self._partial, utterance, self._agreement.push)

    def submit_draft(
        self, priority: Priority, utterance: Utterance, settings: ModelSettings
    ) -> Job:
        """Start to make a draft of an utterance that may be an urgent command."""
        transcribe = self._transcribe
        job = self._scheduler.submit(
            priority, lambda context: transcribe(utterance, settings, context)
        )
        self._tell_when_done(job)
        return job

    @property
    def idle(self) -> bool:
        """Whether the model has nothing to do."""
        return self._scheduler.idle

    def adopt(self, utterance: Utterance, hypothesis: Hypothesis) -> None:
        """Take a text that is known already as that of the utterance."""
        self.discard()
        job = Job(Priority.FINAL, lambda context: hypothesis)
        job.finish(hypothesis)
        self._whole = utterance, self._named(self.request.settings.decoding, utterance), job

    def _named(self, model: ModelSettings, utterance: Utterance) -> ModelSettings:
        """Return settings with the names in the prompt, if the utterance needs one."""
        expected = self._attention.expects(utterance)
        return model if expected else self.request.with_names(model)

    def discard(self) -> None:
        """Abort the transcription of a pause after which the speaker went on."""
        if self._whole is not None:
            self._whole[2].abort()
            self._whole = None

    def end(self) -> None:
        """Show no more partial text: the utterance is complete."""
        self._over = True
        if self._partial is not None:
            self._partial.abort()

    def take(self, utterance: Utterance, settings: ModelSettings) -> Job | None:
        """Return the job that transcribes just this utterance, or None if there is none."""
        if self._whole is None:
            return None
        mine, model, job = self._whole
        same = (mine.time, len(mine.samples)) == (utterance.time, len(utterance.samples))
        if not same or model != settings or job.aborted:
            self.discard()
            return None
        self._scheduler.promote(job, Priority.FINAL)
        self._whole, self._taken = None, job  # it is the request's now: nobody discards it
        return job

    def submit(self, priority: Priority, utterance: Utterance, settings: ModelSettings) -> Job:
        """Start to transcribe an utterance, if it is meant for the robot; see name_first.py."""
        # Not by way of self, which keeps the job: they and the audio would hold each other.
        request, work = self.request, self._name_first
        return self._scheduler.submit(
            priority, lambda context: work(request, utterance, settings, context)
        )

    def _tell_when_done(self, job: Job) -> None:
        tell = self._on_evidence
        job.when_done(lambda _: tell())

    def _show_when_done(self, job: Job, utterance: Utterance, agree: Callable[[str], str]) -> None:
        """Tell the settled text when the job is done, unless the utterance is over by then."""
        job.when_done(lambda done: self._post(lambda: self._show(done, utterance, agree)))

    def _show(self, job: Job, utterance: Utterance, agree: Callable[[str], str]) -> None:
        error = job.future.exception()
        if error is not None:
            # A job that failed at a pause is reported by its request, if the request takes it.
            whole = self._whole[2] if self._whole is not None else None
            if not (job in (whole, self._taken) or isinstance(error, (JobAborted, SpeechError))):
                raise error
            return
        hypothesis, request = job.future.result(), self.request
        # Only at the end it is certain whose words they are.
        beside = self._own_voice.is_beside(utterance, request.settings.self_speech)
        if self._over or beside or isinstance(hypothesis, FirstWords):
            return
        if not rejection(hypothesis, utterance, request.settings.hallucination_filter):
            settled = self._addressed(agree(hypothesis.text), utterance)
            text = rewritten_so_far(settled, request.settings.text.replacements)
            if text:
                self._on_partial(request, text)

    def _addressed(self, settled: str, utterance: Utterance) -> str:
        """Return what of a settled text is for the robot."""
        phrases = self.request.wake_phrases
        if self._begin is None and phrases:
            end = name_end(settled, phrases)
            waits = may_become_name(settled, phrases)
            if waits or not (end or self._attention.hears(utterance, phrases)):
                return ''
            self._begin = end
        return settled if self._begin is None else behind_name(settled, self._begin)
