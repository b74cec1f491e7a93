"""The path of one utterance: listen, transcribe, filter, answer.

    record ──► request ──► listener's thread ──Utterance──► event thread ──► scheduler's thread
                           (UtteranceListener)              (_on_heard)      (the model)
                                                                 ┌─────────────────┘ job done
               future, observer ◄── _finish ◄── filter ◄── _on_transcribed

Which thread calls what:

| thread | runs | never |
|---|---|---|
| any (executor) | record, stop, cancel, set_hands_free, set_muted, close | waits for a text |
| listener | _listen_on: source.read, voice activity, endpointer, speculation | answers requests |
| event | _on_heard, _on_transcribed, _finish, on_transcript, on_partial | waits for the model |
| scheduler | transcribe; posts the end of each job to the event thread | touches a request |

The listener and the event thread catch every exception: it goes to `on_failure`, the request that
it belongs to ends with FAILED, and the thread goes on. Each request has one answer: `claim` lets
the first one through.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
import itertools
import queue
import threading
import time
from typing import Protocol

from ..audio.levels import quiet_hint
from ..audio.source import AudioSource
from ..core.audio_format import Frame, frame_count
from ..core.errors import BusyError, DeviceError, InactiveError, SpeechError
from ..core.scheduler import Job, JobAborted, JobContext, Priority, Scheduler
from ..core.settings import Settings
from ..core.types import Ending, Hypothesis, Outcome, Transcript, Utterance
from .attention import Attention, behind_name, name_end
from .hallucination_filter import filtered
from .modes import HandsFree, Mode, OneRequest
from .name_first import FirstWords, Transcribe
from .own_voice import OwnVoice
from .pace import Pace
from .request import Request, Stage
from .self_speech import SelfSpeechGate
from .speculation import Speculation
from .state import MUTED, Phase, StateMachine
from .turn_watch import TurnDetector
from .urgent import urgent_command
from .utterance_listener import UtteranceListener, VoiceActivity
from .words import words

LEAVING = 2.0  # s to wait for the listener to leave a muted utterance
CLOSING = 10.0  # s to wait for a thread at the end, before it is left behind
LOOK_AGAIN = 0.2  # s between checks of a microphone that is gone, hands-free
LONGEST_PAUSE = 5.0  # s between tries after failures in a row
STALLED = 10.0  # s without a frame of a live source, after which it counts as gone
BEING_OPENED = 'the microphone is being opened'
AT_LEISURE = 4  # frames to wait for while nobody speaks: each wake-up costs


class Observer(Protocol):
    """Gets the results of the recognizer; each method tells its thread."""

    def on_transcript(self, transcript: Transcript) -> None:
        """Take the transcript of an utterance, before its future is done. Event thread."""
        ...

    def on_partial(self, request: Request, text: str) -> None:
        """Take the settled text of an utterance that goes on. Event thread."""
        ...

    def wants_partial(self) -> bool:
        """Return whether partial text has a subscriber. Called from the listener's thread."""
        ...

    def on_failure(self, error: Exception) -> None:
        """Take an unexpected exception. Called from any thread."""
        ...


class Recognizer:
    """Hears one utterance for each request, or every utterance hands-free, and transcribes it."""

    def __init__(
        self,
        source: AudioSource,
        voice_activity: VoiceActivity,
        transcribe: Transcribe,
        observer: Observer,
        scheduler: Scheduler,
        machine: StateMachine,
        ids: Iterator[int] | None = None,
        muted: bool = False,
        self_speech: SelfSpeechGate | None = None,
        turn_detector: TurnDetector | None = None,
        own_voice: OwnVoice | None = None,
    ) -> None:
        """Take the parts; `start` opens the source, unless `muted`.

        `ids` number the utterances, from 1 unless they are given. Without a `turn_detector`,
        silence ends an utterance.
        """
        self._source = source
        self._voice_activity = voice_activity
        self._pace = Pace()
        self._transcribe = timed(transcribe, self._pace.count)
        self._observer = observer
        self._scheduler = scheduler
        self._turn_detector = turn_detector
        self._machine = machine
        self._ids = ids or itertools.count(1)
        self.self_speech = self_speech or SelfSpeechGate()
        self.own_voice = own_voice or OwnVoice(self.self_speech)
        self._source_lock = threading.Lock()  # opening and closing; taken before the condition
        self._condition = threading.Condition()
        self._requests: list[Request] = []  # without an answer, the oldest first
        self._heard: Request | None = None  # the one that the listener listens for
        self._latest: Request | None = None  # the one that it listened for last
        self._mode: Mode = OneRequest()
        self._muted, self._running, self._closed = muted, False, False
        self._opening = False
        self._interrupted = False  # by mute, while it was being opened
        self._streaming = False  # between begin and end of the source
        self._outdated = False  # the settings of the utterance that is waited for hands-free
        self._attention = Attention()
        self._ahead: Speculation | None = None  # of the utterance that the listener follows
        self.dropped = 0
        """Utterances that were dropped since the model is too slow for hands-free."""
        self._events: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen_on, name='listener', daemon=True)
        self._answerer = threading.Thread(target=self._serve_events, name='events', daemon=True)

    def start(self) -> None:
        """Open the source and take requests from now on; raise an AudioError if it refuses."""
        with self._source_lock:
            if self._running or self._closed:
                return
            if not self._muted:
                try:
                    self._open()
                except DeviceError:
                    if not self._interrupted:
                        raise
                    self._muted = True  # and whoever asked for it waits for the lock
            with self._condition:
                self._running = not self._closed
            if not self._running:
                self._source.close()
                return
        self._machine.update(muted=self._muted, lost='', phase=Phase.IDLE, self_speech='')
        self._answerer.start()
        self._listener.start()
        self.source_changed()

    def close(self) -> None:
        """Cancel every request, and release the source. After this `start` does nothing."""
        with self._condition:
            first, self._closed = not self._closed, True
            was_running, self._running = self._running, False
            self._mode = OneRequest()
            for request in self._requests:
                self._halt(request, Ending.CANCELED)
            requests = [*self._requests]
            self._condition.notify_all()
        if self._opening:
            self._source.close()
        if first and was_running:
            for request in requests:
                self._post(request, self._cancel, request)
            self._join(self._listener)
            self._events.put(None)
            self._join(self._answerer)
        with self._source_lock:
            self._source.close()
        if first:
            self._machine.update(
                phase=Phase.IDLE, self_speech='', hands_free=False, attentive=False, lost=''
            )

    def _join(self, thread: threading.Thread) -> None:
        if thread is threading.current_thread():
            return
        thread.join(CLOSING)
        if thread.is_alive():
            self._fail(RuntimeError(f'the thread "{thread.name}" hangs and is left behind'))

    # Requests

    def record(self, settings: Settings, partial: bool = False) -> Request:
        """Hear one utterance; raise a RequestError or DeviceError if that is not possible.

        While another request is under way, `settings.requests.policy` decides. Hands-free, the
        request gets the utterance that is being heard, or else the next one.
        """
        request = Request(next(self._ids), settings, partial=partial)
        with self._condition:
            if not self._running:
                raise InactiveError('the recognizer is not active')
            if self._muted and self._opening:
                raise DeviceError(BEING_OPENED)
            if self._muted:
                request.claim()
                request.answer(Transcript(Outcome.MUTED, request.id, reason=MUTED))
                return request
            health = self._source.health()
            if not health.open:
                raise DeviceError(health.problem or 'the microphone is gone')
            if self._mode.busy(self._wanted()):
                self._resolve_conflict(settings)
            self._requests.append(request)
            self._condition.notify_all()
        return request

    def _resolve_conflict(self, settings: Settings) -> None:
        policy, length = settings.requests.policy, settings.requests.queue_length
        explicit = [request for request in self._wanted() if not request.implicit]
        queued = [request for request in explicit if request.stage is Stage.QUEUED]
        if policy == 'refuse':
            raise BusyError(
                'busy: another request is under way; wait for it, or call speech/stop or '
                'speech/cancel'
            )
        if policy == 'preempt':
            for request in explicit:
                if self._mode.continuous and request.stage > Stage.LISTENING:
                    continue  # hands-free, that one is in nobody's way
                reason = 'canceled by a newer request (requests.policy)'
                self._halt(request, Ending.CANCELED, reason)
                self._post(request, self._cancel, request)
        elif len(queued) >= length:
            raise BusyError(
                f'busy: {length} requests wait already (requests.queue_length); try again later'
            )

    def stop(self) -> bool:
        """Stop listening now and transcribe the speech so far; return whether it was listening."""
        with self._condition:
            for transcribed in self._wanted():
                if transcribed.stage is Stage.TRANSCRIBING:  # it does not wait on after a cough
                    transcribed.halt = transcribed.halt or Ending.STOPPED
            request = self._heard
            if request is None or request.halt is not None:
                queued = [r for r in self._requests if r.stage is Stage.QUEUED and not r.halt]
                request = queued[0] if queued else None
            if request is None or (request.implicit and not self._hearing):
                return False
            self._halt(request, Ending.STOPPED)
            return True

    def cancel(self, request: Request | None = None) -> bool:
        """End a request with CANCELED now; return whether there was anything to cancel.

        Without a request, the oldest one is canceled, or hands-free the utterance that is being
        heard.
        """
        with self._condition:
            if request is None:
                asked = [r for r in self._wanted() if not r.implicit]
                heard = self._heard if self._hearing else None
                request = asked[0] if asked else heard
            if request is None or request.future.done():
                return False
            self._halt(request, Ending.CANCELED)
            self._post(request, self._cancel, request)
            return True

    @property
    def _hearing(self) -> bool:
        """Whether a person speaks."""
        return self._machine.facts.phase is Phase.HEARING

    def _wanted(self) -> list[Request]:
        """Return the requests without an answer that are not canceled, the oldest first."""
        return [r for r in self._requests if r.halt is not Ending.CANCELED]

    def _halt(self, request: Request, ending: Ending, reason: str = '') -> None:
        if request.halt is not Ending.CANCELED:
            request.halt, request.halt_reason = ending, reason
        self._condition.notify_all()

    # Hands-free and mute

    def set_hands_free(self, settings: Callable[[], Settings] | None) -> None:
        """Hear every utterance from now on, with the settings as they are then; None stops."""
        with self._condition:
            if not self._running:
                return
            self._mode = OneRequest() if settings is None else HandsFree(settings)
            heard = self._heard
            if settings is None and heard is not None and heard.implicit:
                self._halt(heard, Ending.CANCELED)
                self._post(heard, self._cancel, heard)
            self._machine.update(hands_free=settings is not None)
            if settings is None:
                self._close_window()
            self._condition.notify_all()

    def settings_changed(self) -> None:
        """Hear hands-free with the new settings, but for the sentence that is being spoken."""
        self._outdated = True

    @property
    def hands_free(self) -> bool:
        """Whether every utterance is heard."""
        return self._mode.continuous

    def wake(self, settings: Settings) -> None:
        """Need no name for a while, hands-free: somebody called the robot in another way."""
        if settings.hands_free.wake_phrases:
            now = time.monotonic()
            self._open_window(now, now + settings.hands_free.attention)

    def set_muted(self, muted: bool) -> None:
        """Close the source, or open it again; raise an AudioError if it refuses.

        After a return from `set_muted(True)` the source is closed, whatever other threads call.
        """
        if muted:
            self.interrupt_opening()
        with self._source_lock:
            self._interrupted = False
            if muted == self._muted:
                return
            if not muted and self._running:
                self._open_muted()
            with self._condition:
                self._muted = muted
                if muted:
                    self._close_window()
                ended = [r for r in self._requests if r.stage <= Stage.LISTENING] if muted else []
                for request in ended:
                    self._halt(request, Ending.MUTED, MUTED)
                self._condition.notify_all()
            try:
                if muted:
                    self._source.close()
                    with self._condition:
                        self._streaming = False
                        # It looks at each frame, and ten times a second without one.
                        self._condition.wait_for(lambda: self._heard not in ended, LEAVING)
            finally:
                # Hands-free, nobody else tells that the utterance is over.
                idle = {'phase': Phase.IDLE, 'self_speech': ''}
                self._machine.update(
                    muted=muted, **(idle if muted and self._mode.continuous else {})
                )
                for request in ended:
                    muted_now = Transcript(Outcome.MUTED, reason=MUTED)
                    self._post(request, self._finish, request, muted_now)
        self.source_changed()

    def interrupt_opening(self) -> None:
        """Make an opening of the source give up, since it is to be muted; do not wait for it."""
        if self._opening:
            self._interrupted = True
            self._source.close()

    def _open_muted(self) -> None:
        """Open the source, which is no longer called muted from before it may capture."""
        self._machine.update(muted=False, lost=BEING_OPENED)
        try:
            self._open()
        except BaseException:
            self._machine.update(muted=True, lost='')
            raise

    def _open(self) -> None:
        """Open the source, under its lock."""
        self._opening = True
        try:
            self._source.open()
        finally:
            self._opening = False

    @property
    def muted(self) -> bool:
        """Whether the microphone is closed for privacy."""
        return self._muted

    @property
    def level(self) -> float:
        """The level of the last tenth of a second, in dBFS."""
        return self._source.health().level

    def source_changed(self) -> None:
        """Look whether the source is gone or back; called whenever that may have changed."""
        if self._opening:
            return  # whoever opens it looks after that
        if not self._running or self._muted:
            self._machine.update(lost='')
            return
        health = self._source.health()
        problem = health.problem or 'the microphone is gone'
        self._machine.update(lost='' if health.open else problem)

    # The listener's thread

    def _listen_on(self) -> None:
        """Listen to one utterance after the other; no exception ends this."""
        earlier: list[tuple[Frame, float]] = []
        failures = 0
        while True:
            request = None
            try:
                self._ahead = None
                request = self._next()
                if request is None:
                    return
                request, utterance, earlier = self._listen(request, earlier)
                self._hand_to_events(request, utterance)
                failures = 0
            except Exception as error:
                failures += 1
                earlier = []
                self._recover(request, error, failures)

    def _next(self) -> Request | None:
        """Wait for the next request to listen for; return None when the recognizer closes."""
        if self._source.live:
            self._watch_window(time.monotonic())
        with self._condition:
            while self._running:
                wanted = None
                self._outdated = False  # before they are read
                if not self._muted and not self._behind():
                    wanted = self._mode.next(self._wanted())
                if isinstance(wanted, Settings):
                    wanted = Request(next(self._ids), wanted, implicit=True)
                    self._requests.append(wanted)
                # While a request is transcribed its audio goes on, since it may wait for more;
                # another request starts with a pre-roll of its own.
                other = not self._requests if wanted is None else wanted is not self._latest
                if self._streaming and other and not self._mode.continuous:
                    self._end_stream()
                if wanted is not None:
                    wanted.stage = Stage.LISTENING
                    self._heard = self._latest = wanted
                    return wanted
                self._condition.wait()
            return None

    def _behind(self) -> bool:
        """Whether a recording must wait for the model. Live audio does not: see _drop_oldest."""
        if self._source.live or not self._mode.continuous:
            return False
        waiting = [r for r in self._requests if r.stage is Stage.TRANSCRIBING]
        return bool(waiting) and len(waiting) > waiting[0].settings.hands_free.queue_length

    def _listen(
        self, request: Request, earlier: list[tuple[Frame, float]]
    ) -> tuple[Request, Utterance, list[tuple[Frame, float]]]:
        """Take frames until the utterance is complete, for whatever reason.

        Return the request that gets it, the utterance, and the frames after it.
        """
        listener = UtteranceListener(
            request,
            self._voice_activity,
            self.self_speech,
            self._machine,
            self._speculation,
            self._observer.wants_partial,
            earlier,
            self._turn_detector,
            self.own_voice,
            self._source.wake,
        )
        self._ahead = listener.speculation
        note = ''
        try:
            self._begin(listener)
            ending = listener.take_earlier() or self._follow(listener)
        except EOFError:
            ending = Ending.SOURCE_ENDED
            self._end_hands_free()
        except DeviceError as error:
            # It is no fault if mute or close has closed the source.
            halt = listener.request.halt
            ending, note = halt or Ending.MICROPHONE_LOST, '' if halt else str(error)
            self.source_changed()
            if listener.request.implicit and not self._streaming:
                self._pause(LOOK_AGAIN)
        if ending in (Ending.MICROPHONE_LOST, Ending.MUTED):
            self._end_stream()
        utterance, rest = listener.end(ending, note or listener.request.halt_reason)
        return listener.request, utterance, rest

    def _follow(self, listener: UtteranceListener) -> Ending:
        """Read frames until the utterance ends; raise EOFError or DeviceError as the source."""
        last = time.monotonic()
        while True:
            newer = self._take_over(listener.request, listener.speaking)
            if newer is not None:
                listener.hand_over(newer)
                self._ahead = listener.speculation
            if listener.request.halt is not None:
                return listener.request.halt
            frame = self._source.read(1 if listener.speaking else AT_LEISURE)
            now = time.monotonic()
            heard_until = now if self._source.live or frame is None else frame.time
            if not (listener.speaking and self._attention.covers(listener.speech_start)):
                self._watch_window(heard_until)
            if frame is not None:
                last = now
                ending = listener.take(frame)
            elif now - last > STALLED:
                raise DeviceError(f'the microphone has delivered nothing for {STALLED:g} s')
            else:  # evidence may have come, which need not wait for the next frame
                ending = listener.look()
            if ending is not None:
                return ending

    def _begin(self, listener: UtteranceListener) -> None:
        """Start to keep the source's frames, unless they are kept already."""
        if not self._streaming:
            listener.forget_earlier()
            self._source.begin()
            self._streaming = True
            self._voice_activity.reset()
            self.source_changed()

    def _end_stream(self) -> None:
        """Keep the pre-roll alone from now on."""
        self._streaming = False
        self._source.end()

    def _end_hands_free(self) -> None:
        """Stop hands-free: the recording is over, and nothing comes any more."""
        with self._condition:
            self._mode = OneRequest()
            self._close_window()
        self._machine.update(hands_free=False)

    def _take_over(self, heard: Request, speaking: bool) -> Request | None:
        """Return the request that gets the utterance of hands-free listening, if another one does.

        That is one that waits, or before anybody speaks one with the settings as they are now.
        """
        if not heard.implicit:
            return None
        with self._condition:
            queued = [r for r in self._requests if r.stage is Stage.QUEUED and not r.halt]
            newer = queued[0] if queued else None
            if newer is None and self._outdated and not speaking:
                self._outdated = False  # before they are read
                settings = self._mode.next([])
                if isinstance(settings, Settings) and settings != heard.settings:
                    newer = Request(next(self._ids), settings, implicit=True)
            # The utterance that is heard has no client, so it needs no answer. But if mute ended
            # it meanwhile, its audio must not go to another request.
            if newer is None or heard.halt is not None or not heard.claim():
                return None
            self._requests.remove(heard)
            if newer.implicit:
                self._requests.append(newer)
            newer.stage = Stage.LISTENING
            self._heard = self._latest = newer
            return newer

    def _speculation(self, request: Request) -> Speculation:
        return Speculation(
            request,
            self._transcribe,
            self._scheduler,
            lambda call: self._post(None, call),
            self._observer.on_partial,
            self._pace,
            self._attention,
            self.own_voice,
            self._source.wake,
        )

    def _hand_to_events(self, request: Request, utterance: Utterance) -> None:
        """Let the event thread go on with an utterance."""
        ahead, self._ahead = self._ahead, None
        with self._condition:
            self._heard = None
            self._condition.notify_all()
            request.utterance = utterance
            if request.stage is not Stage.DONE:
                request.stage = Stage.TRANSCRIBING
        self._settle()
        self._post(request, self._on_heard, request, utterance, ahead)

    def _settle(self) -> None:
        """Report the phase while the listener listens to nothing."""
        with self._condition:
            if self._heard is not None or self._mode.continuous:
                return
            transcribes = any(
                request.stage is Stage.TRANSCRIBING
                and request.halt not in _ENDS_UNHEARD
                and request.utterance is not None
                and request.utterance.voiced
                for request in self._requests
            )
            phase = Phase.TRANSCRIBING if transcribes else Phase.IDLE
            self._machine.update(phase=phase, self_speech='')

    def _recover(self, request: Request | None, error: Exception, failures: int) -> None:
        """Answer the request that failed while listening, and make the parts ready again."""
        self._fail(error)
        with self._condition:
            request = self._heard or request
            self._heard = None
            self._condition.notify_all()
        if request is not None:
            self._post(request, self._finish, request, failed(error))
        try:
            if self._ahead is not None:
                self._ahead.end()
                self._ahead.discard()
            self._end_stream()
            self._voice_activity.reset()
        except Exception as another:
            self._fail(another)
        self._settle()
        if failures > 1:
            self._pause(min(LONGEST_PAUSE, LOOK_AGAIN * 2**failures))

    def _pause(self, seconds: float) -> None:
        with self._condition:
            self._condition.wait_for(lambda: not self._running, seconds)

    # The event thread

    def _post(
        self, request: Request | None, call: Callable[..., None], *arguments: object
    ) -> None:
        """Run a call on the event thread; if it fails, `request` ends with FAILED."""

        def event() -> None:
            try:
                call(*arguments)
            except Exception as error:
                self._fail(error)
                if request is not None:
                    self._finish(request, failed(error))

        self._events.put(event)

    def _serve_events(self) -> None:
        while (event := self._events.get()) is not None:
            try:
                event()
            except Exception as error:  # not even a failed report ends the thread
                self._fail(error)

    def _on_heard(self, request: Request, utterance: Utterance, ahead: Speculation | None) -> None:
        """Start to transcribe an utterance, or answer at once if nobody spoke."""
        assert ahead is not None
        if request.future.done():
            ahead.discard()
            self._settle()
            return
        interrupted = utterance.ending is Ending.SELF_SPEECH and utterance.note
        if request.halt in _ENDS_UNHEARD or not utterance.voiced or interrupted:
            ahead.discard()
            self._finish(request, self._unheard(request, utterance))
            return
        model = request.settings.decoding
        if not self._attention.expects(utterance):
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
            self._fail(error)
            transcript = failed(error)
        else:
            if self._is_addressed_late(hypothesis, utterance, request):
                model = request.settings.decoding
                again = self._scheduler.submit(
                    Priority.FINAL, lambda context: self._transcribe(utterance, model, context)
                )
                self._await(request, utterance, again)
                return
            transcript = self._heard_beside_robot(hypothesis, utterance, request)
            unsaid = transcript.outcome in (Outcome.REJECTED, Outcome.SELF_SPEECH)
            if unsaid and self._has_time(request, utterance):
                transcript = replace(transcript, id=request.id)
                if self._wait_on(request, transcript):
                    return
        self._finish(request, transcript)

    def _is_addressed_late(
        self, hypothesis: Hypothesis, utterance: Utterance, request: Request
    ) -> bool:
        """Return whether a wake word came only after the rest was left out."""
        left_out = isinstance(hypothesis, FirstWords)
        return left_out and self._attention.hears(utterance, request.wake_phrases)

    def _heard_beside_robot(
        self, hypothesis: Hypothesis, utterance: Utterance, request: Request
    ) -> Transcript:
        """Return the transcript of a text, without what the robot itself said in it."""
        settings = request.settings
        if not self.own_voice.is_beside(utterance, settings.self_speech):
            return self._judged(hypothesis, utterance, request)
        urgent = urgent_command(utterance, hypothesis, settings, self.own_voice)
        rest = urgent.hypothesis if urgent else self.own_voice.without(utterance, hypothesis)
        if rest.segments:
            transcript = self._judged(rest, utterance, request)
            return replace(transcript, raw_text=hypothesis.text)
        # The time to start to speak counts from the end of the robot's speech.
        request.frames_waited -= min(request.frames_waited, len(utterance.speech))
        return Transcript(
            Outcome.SELF_SPEECH,
            reason='it is what the robot itself said (self_speech.text_topic)',
            raw_text=hypothesis.text,
            utterance=utterance,
        )

    def _judged(
        self, hypothesis: Hypothesis, utterance: Utterance, request: Request
    ) -> Transcript:
        """Return the transcript of a text; one for the robot opens the window for the next."""
        phrases = request.wake_phrases
        if not phrases:
            return filtered(hypothesis, utterance, request.settings)
        end = name_end(hypothesis.text, phrases)
        if not end and urgent_command(utterance, hypothesis, request.settings) is not None:
            return filtered(hypothesis, utterance, request.settings)  # "stop" needs no name
        if not (end or self._attention.hears(utterance, phrases)):
            return not_addressed(utterance, hypothesis)
        alone = end > 0 and not words(behind_name(hypothesis.text, end))
        names = [] if alone else phrases
        transcript = filtered(hypothesis, utterance, request.settings, names)
        if transcript.outcome is Outcome.REJECTED:
            return transcript
        self._attend(utterance, request.settings)
        if not alone:
            return transcript
        window = request.settings.hands_free.attention
        reason = (
            'only the name was heard: the next sentence '
            f'within {window:g} s needs none (hands_free.attention)'
        )
        return Transcript(
            Outcome.NO_SPEECH,
            reason=reason,
            raw_text=hypothesis.text,
            utterance=utterance,
            hypothesis=hypothesis,
        )

    def _attend(self, utterance: Utterance, settings: Settings) -> None:
        """Open the window in which the next sentence needs no name."""
        now = time.monotonic() if self._source.live else utterance.speech_end
        self._open_window(utterance.speech_start, now + settings.hands_free.attention)

    def _open_window(self, begin: float, end: float) -> None:
        with self._condition:
            if self._mode.continuous and not self._muted:
                self._attention.open(begin, end)
                self._machine.update(attentive=True)

    def _close_window(self) -> None:
        """Need a name from now on; under the condition."""
        self._attention.close()
        self._machine.update(attentive=False)

    def _watch_window(self, now: float) -> None:
        """Close the window once its time is over, and no utterance can open it anew."""
        if not (self._machine.facts.attentive and self._attention.over(now)):
            return
        with self._condition:
            waiting = [r for r in self._requests if r.stage is Stage.TRANSCRIBING and r.implicit]
            if not waiting and self._attention.over(now):
                self._close_window()

    def _has_time(self, request: Request, utterance: Utterance) -> bool:
        """Return whether a request goes on after a cough: its time to wait is not over."""
        settings = request.settings.utterance
        over = request.frames_waited >= frame_count(settings.wait_for_speech)
        whole = utterance.ending in _WHOLE
        stopped = request.implicit or request.halt is not None
        return whole and settings.endpointing and not over and not stopped

    def _wait_on(self, request: Request, rejected: Transcript) -> bool:
        """Publish the rejected text, and go on listening for the same request.

        Return False if it must end, since mute or close came meanwhile.
        """
        try:
            self._observer.on_transcript(rejected)
        except Exception as error:
            self._fail(error)
        with self._condition:
            request.rejected = rejected
            if request.halt is Ending.CANCELED:
                return True  # whoever canceled it has posted its answer
            if self._muted or not self._running:
                return False
            request.id = next(self._ids)  # each utterance has its own
            request.stage, request.utterance, request.job = Stage.QUEUED, None, None
            self._condition.notify_all()
            return True

    def _cancel(self, request: Request) -> None:
        """Answer a canceled request."""
        job = request.job
        self._finish(request, canceled(request.halt_reason))
        if job is not None:
            job.abort()

    def _drop_oldest(self, length: int) -> None:
        """Drop the oldest utterances of hands-free listening, if too many wait for the model."""
        if not self._mode.continuous or not self._source.live:
            return
        with self._condition:
            waiting = [r for r in self._requests if r.job is not None and not r.job.running]
        while len(waiting) > length:
            request = waiting.pop(0)
            job = request.job
            if request.implicit and job is not None:
                self.dropped += 1
                reason = (
                    'dropped: utterances come faster than they are transcribed '
                    f'({self.dropped} dropped so far; hands_free.queue_length)'
                )
                dropped = Transcript(Outcome.FAILED, reason=reason, utterance=request.utterance)
                self._finish(request, dropped)
                job.abort()

    def _finish(self, request: Request, transcript: Transcript) -> None:
        """Answer a request, unless it has an answer; the observer hears of it first."""
        if not request.claim():
            return
        request.job = None  # it refers to the request, and both to the audio
        known = transcript is request.rejected
        transcript = transcript if known else replace(transcript, id=request.id)
        with self._condition:
            if request in self._requests:
                self._requests.remove(request)
            request.stage = Stage.DONE
            self._condition.notify_all()
        # Ready before anybody hears of the answer: whoever hears of it may ask at once.
        self._settle()
        heard = transcript.utterance is not None and transcript.utterance.voiced > 0
        told = heard or not request.implicit or transcript.outcome is Outcome.FAILED
        if transcript.outcome is Outcome.NOT_ADDRESSED:
            told = request.settings.hands_free.publish_unaddressed
        try:
            if told and not known and transcript.outcome is not Outcome.CANCELED:
                self._observer.on_transcript(transcript)
        except Exception as error:  # the request ends all the same
            self._fail(error)
        finally:
            request.answer(transcript)

    def _unheard(self, request: Request, utterance: Utterance) -> Transcript:
        """Return the transcript of an utterance that is not transcribed."""
        if request.halt is Ending.CANCELED:
            return canceled(request.halt_reason, utterance)
        if request.halt is Ending.MUTED:
            return Transcript(Outcome.MUTED, reason=MUTED, utterance=utterance)
        if utterance.ending is Ending.MICROPHONE_LOST:
            return Transcript(Outcome.MICROPHONE_LOST, reason=utterance.note, utterance=utterance)
        if utterance.ending is Ending.SELF_SPEECH:
            reason = utterance.note or f'no speech was heard: {self.self_speech.reason}'
            return Transcript(Outcome.SELF_SPEECH, reason=reason, utterance=utterance)
        if request.rejected is not None:  # nobody spoke after the cough
            return request.rejected
        wait = request.settings.utterance.wait_for_speech
        heard = {
            Ending.STOPPED: 'no speech was heard before it was stopped',
            Ending.SOURCE_ENDED: 'no speech was heard in the recording',
            Ending.NO_SPEECH: f'no speech was heard within {wait:g} s (utterance.wait_for_speech)',
        }.get(utterance.ending, 'no speech was heard')
        hint = self._source.health().problem or quiet_hint(utterance.loudest)
        reason = f'{heard}; {hint}' if hint else heard
        return Transcript(Outcome.NO_SPEECH, reason=reason, utterance=utterance)

    def _fail(self, error: Exception) -> None:
        """Report an unexpected exception."""
        try:
            self._observer.on_failure(error)
        except Exception:  # the report itself failed: the thread goes on
            pass


_ENDS_UNHEARD = (Ending.CANCELED, Ending.MUTED)
_WHOLE = (
    Ending.SILENCE,
    Ending.SMART_TURN,
    Ending.TEXT,
    Ending.COMMAND,
    Ending.MAX_DURATION,
)


def canceled(reason: str = '', utterance: Utterance | None = None) -> Transcript:
    """Return the transcript of a canceled request."""
    return Transcript(Outcome.CANCELED, reason=reason or 'canceled', utterance=utterance)


def not_addressed(utterance: Utterance, hypothesis: Hypothesis) -> Transcript:
    """Return the transcript of what was said to somebody else."""
    return Transcript(
        Outcome.NOT_ADDRESSED,
        text=hypothesis.text,
        raw_text=hypothesis.text,
        reason='it does not begin with a name of the robot (hands_free.wake_phrases)',
        utterance=utterance,
        hypothesis=hypothesis,
    )


def failed(error: Exception) -> Transcript:
    """Return the transcript of a request that ended with an unexpected exception."""
    return Transcript(Outcome.FAILED, reason=f'internal error: {error!r}')


def timed(transcribe: Transcribe, count: Callable[[float], None]) -> Transcribe:
    """Return `transcribe` with the time that it takes noted in the hypothesis, and counted."""

    def measured(utterance, settings, context: JobContext) -> Hypothesis:
        started = time.monotonic()
        hypothesis = transcribe(utterance, settings, context)
        duration = time.monotonic() - started
        count(duration)
        return replace(hypothesis, processing_time=duration)

    return measured
