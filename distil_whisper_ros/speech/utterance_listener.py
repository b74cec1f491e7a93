"""Hearing one utterance: frames go in until it is over, and comes out cut to the speech.

On its way it has the model work ahead: at each short pause in case the utterance ends there, and,
if somebody wants to read along, while the person speaks.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
import time
from typing import Protocol

from ..core.audio_format import Frame, frame_count, FRAME_DURATION, Samples
from ..core.scheduler import Job, JobContext, Priority, Scheduler
from ..core.settings import ModelSettings
from ..core.types import Ending, Hypothesis, State, Utterance
from .endpointer import Endpointer
from .hallucination_filter import rejection
from .partial_text import LocalAgreement
from .request import Request, Speculation
from .self_speech import SelfSpeechGate
from .utterance_buffer import MARGIN, UtteranceBuffer

LIVE = 0.5  # s: an older frame comes from a recording, which needs no work ahead
SETTLED = 4  # frames of quiet after the robot has spoken, before which nobody's sentence begins

Transcribe = Callable[[Utterance, ModelSettings, JobContext], Hypothesis]


class VoiceActivity(Protocol):
    """Gives each frame its probability of speech."""

    def __call__(self, frame: Samples, /) -> float:
        """Return the probability that a frame is speech."""
        ...

    def reset(self) -> None:
        """Forget the frames so far."""
        ...


class Listener(Protocol):
    """Whoever is told what is heard; called from the recognizer's threads."""

    def on_state(self, state: State, detail: str = '') -> None:
        """Take the new state."""
        ...

    def on_partial(self, request: Request, text: str) -> None:
        """Take what is settled of the text so far."""
        ...

    def wants_partial(self) -> bool:
        """Return whether anybody reads along."""
        ...


class UtteranceListener:
    """One utterance while it is heard."""

    def __init__(
        self,
        request: Request,
        voice_activity: VoiceActivity,
        transcribe: Transcribe,
        worker: Scheduler,
        hush: SelfSpeechGate,
        listener: Listener,
        earlier: Sequence[tuple[Frame, float]] = (),
    ) -> None:
        """`earlier` frames, with their probabilities, are the pre-roll that was heard already."""
        self._voice_activity = voice_activity
        self._transcribe = transcribe
        self._worker = worker
        self._hush = hush
        self._listener = listener
        self._hushed = False
        self._quiet = 0
        self._agreement = LocalAgreement()
        self._partial: Job | None = None
        self._since_partial = 0
        self._over = False
        self.request = request
        self._earlier = list(earlier)
        self._begin()
        listener.on_state(State.WAITING)

    def _begin(self) -> None:
        settings = self.request.settings
        pre_roll = settings.microphone.pre_roll
        self._endpointer = Endpointer(settings.utterance, pre_roll)
        whole = not settings.utterance.endpointing
        self._heard = UtteranceBuffer(None if whole else frame_count(pre_roll), self._earlier)

    def hand_over(self, request: Request) -> None:
        """Give what is heard to another request; its own limits hold if nobody speaks yet."""
        request.guess = self.request.guess
        self.request = request
        if not self._endpointer.speaking:
            self._earlier = self._heard.rest(None)
            self._begin()

    @property
    def speaking(self) -> bool:
        """Whether somebody speaks."""
        return self._endpointer.speaking

    def take(self, frame: Frame) -> Ending | None:
        """Take the next frame; return why the utterance is over, if it is."""
        if self._hush.covers(frame.time):
            return self._be_hushed()
        probability = self._voice_activity(frame.samples)
        if self._hushed and not self._quiet_again(probability):
            return None
        endpointer = self._endpointer
        spoke = endpointer.speaking
        ending = endpointer.step(probability)
        self._heard.push(frame, probability, endpointer.speaking)
        if endpointer.speaking != spoke:
            self._listener.on_state(State.HEARING if endpointer.speaking else State.WAITING)
        if endpointer.speaking and ending is None and time.monotonic() - frame.time < LIVE:
            self._work_ahead()
        return ending

    def end(self, ending: Ending, note: str = '') -> tuple[Utterance, list[tuple[Frame, float]]]:
        """Return the utterance, and the frames behind it."""
        self._over = True
        if self._partial is not None:
            self._partial.abort()
        if ending is Ending.MUTED and not note and self._endpointer.pause < frame_count(MARGIN):
            note = 'the robot began to speak before the sentence was over'
        utterance = self._heard.utterance(self._endpointer, ending, note)
        return utterance, self._heard.rest(self._endpointer)

    # The robot's own speech

    def _be_hushed(self) -> Ending | None:
        if self._endpointer.speaking:
            return Ending.MUTED
        if not self._hushed:
            self._hushed = True
            self._listener.on_state(State.MUTED, self._hush.why)
        self._earlier, self._quiet = [], 0
        self._begin()  # the time to begin to speak starts anew
        return None

    def _quiet_again(self, probability: float) -> bool:
        """Return whether a sentence may begin: one that began unheard must not be cut in half."""
        if self._quiet == 0:
            self._voice_activity.reset()
        spoken = probability >= self.request.settings.utterance.vad_threshold
        self._quiet = 1 if spoken else self._quiet + 1
        if self._quiet <= SETTLED:
            return False
        self._hushed = False
        self._listener.on_state(State.WAITING)
        return True

    # Work ahead

    def _work_ahead(self) -> None:
        settings, request = self.request.settings.utterance, self.request
        reads_along = request.partial or self._listener.wants_partial()
        pause = self._endpointer.pause
        if pause == frame_count(MARGIN) and settings.speculative and settings.endpointing:
            self._guess()
        elif pause == 0 and request.guess is not None and not reads_along:
            request.guess.job.abort()  # the speaker went on
        self._since_partial += 1
        due = self._since_partial * FRAME_DURATION >= request.settings.partial.period
        if reads_along and pause == 0 and due and self._worker.idle:
            self._since_partial = 0
            model = replace(request.settings.model, word_timestamps=False)
            utterance = self._utterance()
            self._partial = self._submit(Priority.PARTIAL, utterance, model)
            self._read(self._partial, utterance, self._agreement.push)

    def _utterance(self) -> Utterance:
        return self._heard.utterance(self._endpointer, Ending.SILENCE, '')

    def _guess(self) -> None:
        """Begin to transcribe what was heard, in case it is all."""
        request, utterance = self.request, self._utterance()
        if request.guess is not None:
            request.guess.job.abort()
        model = request.settings.model
        request.guess = Speculation(
            utterance, model, self._submit(Priority.SPECULATIVE, utterance, model)
        )
        self._read(request.guess.job, utterance, self._agreement.settle)

    def _submit(self, rank: Priority, utterance: Utterance, settings: ModelSettings) -> Job:
        return self._worker.submit(rank, lambda turn: self._transcribe(utterance, settings, turn))

    def _read(self, job: Job, utterance: Utterance, agree: Callable[[str], str]) -> None:
        """Tell who reads along, once the job is done, what is settled by then."""
        request = self.request

        def done(future) -> None:
            if self._over or future.cancelled() or future.exception() is not None:
                return
            hypothesis = future.result()
            if not rejection(hypothesis, utterance, request.settings.hallucination_filter):
                text = agree(hypothesis.text)
                if text:
                    self._listener.on_partial(request, text)

        job.future.add_done_callback(done)
