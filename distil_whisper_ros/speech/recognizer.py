"""The path of one utterance: hear, transcribe, judge.

    request ──► _listen ──Utterance──► _understand ──Transcript──► the request's future
               (Hearing: endpoint)     (Worker: the model; judge: the guard)

A thread hears and another answers, so no caller is ever blocked and, hands-free, hearing goes on
while the last utterance is transcribed. Whoever asks gets a request whose future always comes to a
Transcript.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, wait
from dataclasses import replace
import itertools
import threading
import time
from typing import Protocol

from ..audio.levels import quiet_hint
from ..audio.source import AudioSource
from ..core.audio_format import Frame
from ..core.errors import BusyError, DeviceError, InactiveError, SpeechError
from ..core.scheduler import Job, JobContext, Priority, Scheduler
from ..core.settings import Settings
from ..core.types import Ending, Hypothesis, Outcome, State, Transcript, Utterance
from .hallucination_filter import filtered
from .request import Request
from .self_speech import SelfSpeechGate
from .utterance_listener import Listener, Transcribe, UtteranceListener, VoiceActivity

CLOSING = 10.0  # s that a transcription under way may take before it is left behind
FOREVER = 1e9  # s that somebody has to begin to speak while hearing hands-free
QUIET_FRAMES = 4  # frames to wait for at once while nobody speaks: fewer wake-ups
LOOK_AGAIN = 0.2  # s between looks at a microphone that is gone, hands-free
MUTED = 'the microphone is muted: call speech/mute with false to hear again'


class Observer(Listener, Protocol):
    """Whoever is told what the recognizer does; called from its threads."""

    def on_transcript(self, transcript: Transcript) -> None:
        """Take what came of an utterance, before the request's future is done."""
        ...

    def on_failure(self, error: Exception) -> None:
        """Take an exception that nobody expected."""
        ...


class Recognizer:
    """Hears one utterance at a request, or every one hands-free, and tells what was said."""

    def __init__(
        self,
        source: AudioSource,
        voice_activity: VoiceActivity,
        transcribe: Transcribe,
        observer: Observer,
        worker: Scheduler,
        ids: Iterator[int] | None = None,
    ) -> None:
        """Take the parts; `start` opens the source, which must not be open yet.

        `ids` number the utterances, from 1 unless they are given.
        """
        self._source = source
        self._voice_activity = voice_activity
        self._transcribe = timed(transcribe)
        self._observer = observer
        self._worker = worker
        self._ids = ids or itertools.count(1)
        self._condition = threading.Condition()
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None  # being heard, or the last that was and has no answer
        self._heard: deque[tuple[Request, Utterance]] = deque()
        self._hands_free: Callable[[], Settings] | None = None
        self._muted = self._running = self._begun = self._deaf = self._lost = False
        self.hush = SelfSpeechGate()
        self.dropped = 0
        """Utterances that were dropped since the model is too slow for hands-free."""
        self._threads = [
            threading.Thread(target=self._hear_on, name='recognizer', daemon=True),
            threading.Thread(target=self._answer_on, name='answerer', daemon=True),
        ]

    def start(self) -> None:
        """Open the source and take requests from now on; raise an AudioError if it refuses."""
        self._source.open()
        self._running = True
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Cancel what is under way, and release the source."""
        with self._condition:
            self._running, self._hands_free = False, None
            waiting, self._waiting = [*self._waiting], deque()
            waiting += [request for request, _ in self._heard]
            self._heard.clear()
            self._halt(Ending.CANCELED)
            self._condition.notify_all()
        for request in waiting:
            request.future.set_result(replace(canceled(), id=request.id))
        for thread in self._threads:
            if thread.is_alive():
                thread.join(CLOSING)
        self._source.close()

    # Requests

    def record(self, settings: Settings, partial: bool = False) -> Request:
        """Hear one utterance; raise a RequestError or DeviceError if that cannot be.

        While another request is under way, `settings.requests.policy` decides. Hands-free, the
        request gets the utterance that is being heard, or else the next.
        """
        request = Request(next(self._ids), settings, partial=partial)
        with self._condition:
            if not self._running:
                raise InactiveError('the recognizer is not active')
            if self._muted:
                request.future.set_result(Transcript(Outcome.MUTED, request.id, reason=MUTED))
                return request
            health = self._source.health()
            if not health.open:
                raise DeviceError(health.problem or 'the microphone is gone')
            taken = self._waiting or (self._current is not None and not self._current.implicit)
            if taken:
                self._resolve_conflict(settings)
            self._waiting.append(request)
            self._condition.notify_all()
        return request

    def _resolve_conflict(self, settings: Settings) -> None:
        policy, length = settings.requests.policy, settings.requests.queue_length
        if policy == 'refuse':
            raise BusyError(
                'busy: another request is under way; wait for it, or call speech/stop or '
                'speech/cancel'
            )
        if policy == 'preempt':
            preempted, self._waiting = [*self._waiting], deque()
            self._halt(Ending.CANCELED, 'canceled by a newer request (requests.policy)')
            for request in preempted:
                request.future.set_result(canceled('canceled by a newer request'))
        elif len(self._waiting) >= length:
            raise BusyError(
                f'busy: {length} requests wait already (requests.queue_length); try again later'
            )

    def stop(self) -> bool:
        """Stop hearing now and transcribe what was heard; return whether anything was heard."""
        with self._condition:
            return self._halt(Ending.STOPPED)

    def cancel(self, request: Request | None = None) -> bool:
        """Stop hearing now and forget it; return whether there was anything to cancel.

        With a request, only that one is canceled, also while it waits.
        """
        with self._condition:
            if request is not None and request in self._waiting:
                self._waiting.remove(request)
                request.future.set_result(replace(canceled(), id=request.id))
                return True
            if request is not None and request is not self._current:
                request.halt = Ending.CANCELED  # it is being transcribed, or done
                return not request.future.done()
            return self._halt(Ending.CANCELED)

    def _halt(self, ending: Ending, why: str = '') -> bool:
        request = self._current or (self._waiting[0] if self._waiting else None)
        if request is None:
            return False
        if request.halt is not Ending.CANCELED:
            request.halt, request.why = ending, why
        self._condition.notify_all()
        return True

    # Hands-free and mute

    def hear_hands_free(self, settings: Callable[[], Settings] | None) -> None:
        """Hear every utterance from now on, with the settings as they are then; None stops."""
        with self._condition:
            self._hands_free = settings
            if settings is None and self._current is not None and self._current.implicit:
                self._halt(Ending.CANCELED)
            self._condition.notify_all()

    @property
    def hands_free(self) -> bool:
        """Whether every utterance is heard."""
        return self._hands_free is not None

    def mute(self, muted: bool) -> None:
        """Close the source, or open it again; raise an AudioError if that is refused."""
        if muted == self._muted:
            return
        if not muted:
            self._source.open()
        with self._condition:
            self._muted = muted
            waiting: list[Request] = []
            if muted:
                waiting, self._waiting = [*self._waiting], deque()
                self._halt(Ending.MUTED, MUTED)
            self._condition.notify_all()
        if muted:
            self._source.close()
        for request in waiting:
            request.future.set_result(Transcript(Outcome.MUTED, request.id, reason=MUTED))
        self._tell_rest()

    @property
    def muted(self) -> bool:
        """Whether the microphone is closed for privacy."""
        return self._muted

    @property
    def level(self) -> float:
        """The level of the last tenth of a second, in dBFS."""
        return self._source.health().level

    def _tell_rest(self) -> None:
        """Tell the state in which nothing is heard."""
        if self._muted:
            self._observer.on_state(State.MUTED, MUTED)
            return
        health = self._source.health()
        self._observer.on_state(State.READY if health.open else State.LOST, health.problem)

    # Hearing, in a thread of its own

    def _hear_on(self) -> None:
        earlier: list[tuple[Frame, float]] = []
        while True:
            with self._condition:
                self._condition.wait_for(self._wanted)
                if not self._running:
                    self._deaf = True
                    self._condition.notify_all()
                    return
                request = self._current = self._next()
            request, utterance, earlier = self._listen(request, earlier)
            with self._condition:
                self._heard.append((request, utterance))
                dropped = self._overflow(request.settings.hands_free.queue_length)
                self._condition.notify_all()
                if not self.hands_free:
                    # One utterance at a time: the request is under way until it has its answer.
                    self._condition.wait_for(lambda: self._current is not request)
                    earlier = []
                elif self._current is request:
                    self._current = None
            for old, audio in dropped:
                self._finish(old, self._dropped(audio))

    def _wanted(self) -> bool:
        return not self._running or bool(
            not self._muted and (self._waiting or self._hands_free is not None)
        )

    def _next(self) -> Request:
        if self._waiting:
            return self._waiting.popleft()
        assert self._hands_free is not None
        settings = self._hands_free()
        patient = replace(settings.utterance, wait_for_speech=FOREVER)
        return Request(next(self._ids), replace(settings, utterance=patient), implicit=True)

    def _overflow(self, length: int) -> list[tuple[Request, Utterance]]:
        """Return the oldest utterances beyond the queue's length, none of them asked for."""
        old = []
        while self.hands_free and len(self._heard) > length and self._heard[0][0].implicit:
            if not self._source.live:  # a recording can wait
                self._condition.wait_for(lambda: len(self._heard) <= length or not self._running)
                break
            old.append(self._heard.popleft())
            self.dropped += 1
        return old

    def _listen(
        self, request: Request, earlier: list[tuple[Frame, float]]
    ) -> tuple[Request, Utterance, list[tuple[Frame, float]]]:
        """Take frames until the utterance is over, for whatever reason."""
        ending, note = None, ''
        hearing = None
        try:
            if not self._begun:
                self._source.begin()
                self._begun, self._lost = True, False
                self._voice_activity.reset()
            hearing = UtteranceListener(
                request,
                self._voice_activity,
                self._transcribe,
                self._worker,
                self.hush,
                self._observer,
                earlier,
            )
            while ending is None:
                if hearing.request.implicit and self._waiting:
                    hearing.hand_over(self._take_over())
                ending = hearing.request.halt
                if ending is not None:
                    break
                frame = self._source.read(1 if hearing.speaking else QUIET_FRAMES)
                if frame is not None:
                    ending = hearing.take(frame)
        except EOFError:
            ending = Ending.SOURCE_ENDED
            self._hands_free = None  # nothing comes any more
        except DeviceError as error:
            ending, note = Ending.MICROPHONE_LOST, str(error)
            self._tell_loss(note)
        if not self.hands_free or ending in (Ending.MICROPHONE_LOST, Ending.MUTED):
            self._source.end()
            self._begun = False
        if hearing is None:
            time.sleep(LOOK_AGAIN if request.implicit else 0)
            return request, Utterance.none(Ending.MICROPHONE_LOST, note), []
        utterance, rest = hearing.end(ending, note or hearing.request.why)
        return hearing.request, utterance, rest

    def _tell_loss(self, problem: str) -> None:
        """Tell, hands-free, that nothing is heard; once, however often it is looked at."""
        if self.hands_free and not self._lost:
            self._lost = True
            self._observer.on_state(State.LOST, problem)

    def _take_over(self) -> Request:
        with self._condition:
            self._current = self._waiting.popleft()
            return self._current

    # Answering, in another

    def _answer_on(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._heard or self._deaf)
                if not self._heard:
                    return
                request, utterance = self._heard.popleft()
                self._condition.notify_all()
            try:
                transcript = self._understand(request, utterance)
            except SpeechError as error:
                transcript = Transcript(Outcome.FAILED, reason=str(error), utterance=utterance)
            except Exception as error:  # the node goes on; the request ends with an outcome
                self._observer.on_failure(error)
                transcript = Transcript(Outcome.FAILED, reason=f'internal error: {error!r}')
            self._finish(request, transcript)

    def _finish(self, request: Request, transcript: Transcript) -> None:
        transcript = replace(transcript, id=request.id)
        if not self.hands_free and self._current in (None, request):
            # Ready before anybody hears of it: whoever hears of it may ask at once.
            self._tell_rest()
        with self._condition:
            if self._current is request:
                self._current = None
            self._condition.notify_all()
        heard = transcript.utterance is not None and transcript.utterance.voiced > 0
        if transcript.outcome is not Outcome.CANCELED and (heard or not request.implicit):
            try:
                self._observer.on_transcript(transcript)
            except Exception as error:  # the request ends all the same
                self._observer.on_failure(error)
        if not request.future.done():
            request.future.set_result(transcript)

    def _understand(self, request: Request, utterance: Utterance) -> Transcript:
        """Transcribe an utterance and judge the text."""
        if utterance.ending is Ending.CANCELED:
            return canceled(request.why, utterance)
        if utterance.ending is Ending.MUTED and utterance.note:
            return Transcript(Outcome.MUTED, reason=utterance.note, utterance=utterance)
        if not utterance.voiced:
            return self._nothing_heard(request, utterance)
        if not self.hands_free:
            self._observer.on_state(State.TRANSCRIBING)
        hypothesis = self._await(self._job(request, utterance), request)
        if hypothesis is None:
            return canceled(request.why, utterance)
        return filtered(hypothesis, utterance, request.settings)

    def _job(self, request: Request, utterance: Utterance) -> Job:
        """Return the guess, if it was right, or else start to transcribe."""
        guess, model = request.guess, request.settings.model
        if guess is not None:
            if guess.fits(utterance, model):
                return guess.job
            guess.job.abort()
        return self._worker.submit(
            Priority.FINAL, lambda turn: self._transcribe(utterance, model, turn)
        )

    def _await(self, job: Job, request: Request) -> Hypothesis | None:
        """Wait for the job; None if the request is canceled meanwhile."""
        while request.halt is not Ending.CANCELED:
            wait([job.future], timeout=0.02)
            if job.future.done() and request.halt is not Ending.CANCELED:
                try:
                    return job.future.result()
                except CancelledError:
                    return None
        job.abort()
        return None

    def _dropped(self, utterance: Utterance) -> Transcript:
        reason = (
            'dropped: utterances come faster than they are transcribed '
            f'({self.dropped} dropped so far; hands_free.queue_length)'
        )
        return Transcript(Outcome.FAILED, reason=reason, utterance=utterance)

    def _nothing_heard(self, request: Request, utterance: Utterance) -> Transcript:
        if utterance.ending is Ending.MICROPHONE_LOST:
            return Transcript(Outcome.MICROPHONE_LOST, reason=utterance.note, utterance=utterance)
        heard = {
            Ending.STOPPED: 'no speech was heard before it was stopped',
            Ending.SOURCE_ENDED: 'no speech was heard in the recording',
            Ending.NO_SPEECH: 'no speech was heard within '
            f'{request.settings.utterance.wait_for_speech:g} s (utterance.wait_for_speech)',
        }.get(utterance.ending, 'no speech was heard')
        hint = self._source.health().problem or quiet_hint(utterance.loudest)
        reason = f'{heard}; {hint}' if hint else heard
        return Transcript(Outcome.NO_SPEECH, reason=reason, utterance=utterance)


def canceled(why: str = '', utterance: Utterance | None = None) -> Transcript:
    """Return the transcript of a canceled request."""
    return Transcript(Outcome.CANCELED, reason=why or 'canceled', utterance=utterance)


def timed(transcribe: Transcribe) -> Transcribe:
    """Return `transcribe`, noting the time that it takes."""

    def measured(utterance, settings, turn: JobContext) -> Hypothesis:
        started = time.monotonic()
        hypothesis = transcribe(utterance, settings, turn)
        return replace(hypothesis, processing_time=time.monotonic() - started)

    return measured
