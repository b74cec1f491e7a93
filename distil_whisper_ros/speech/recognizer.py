"""The recognizer as the node sees it: requests and modes go in, and the parts are joined here.

The path of one utterance, by module:

    recognizer ──► agenda ──► listening ──Utterance──► answering ──► scheduler
     (record)     (Request)   (UtteranceListener)     (_on_heard)    (the model)
                                                           ┌──────────────┘ job done
              future, observer ◄── _finish ◄── outcomes ◄── _on_transcribed

Which thread calls what:

| thread | runs | never |
|---|---|---|
| any (executor) | record, stop, cancel, set_hands_free, set_muted, close | waits for a text |
| listener | `Listening.run`: source.read, voice activity, endpointer | answers requests |
| event | `Answering.run`: what ends a request, on_transcript, on_partial | waits for the model |
| scheduler | transcribe; posts the end of each job to the event thread | touches a request |

The listener and the event thread catch every exception: it goes to `on_failure`, the request that
it belongs to ends with FAILED, and the thread goes on. Each request has one answer: `claim` lets
the first one through.

Locks, in the order in which a thread takes them: the source switch's, the agenda's, and then those
of a request, the state machine or another part, under which nobody takes one of the first two. The
modules say what their lock guards. Here no field changes.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
import itertools
import threading
import time

from ..audio.source import AudioSource
from ..core.errors import BusyError, DeviceError, InactiveError
from ..core.scheduler import Job, Priority, Scheduler
from ..core.settings import ModelSettings, Settings
from ..core.types import Ending, Utterance
from .agenda import Agenda
from .answering import Answering
from .listening import Frames, Listening
from .name_first import Transcribe
from .observer import Observer
from .outcomes import muted_now, Outcomes
from .own_voice import OwnVoice
from .pace import Pace, timed
from .request import Request, Stage
from .self_speech import SelfSpeechGate
from .source_switch import BEING_OPENED, SourceSwitch
from .speculation import Speculation
from .state import Phase, StateMachine
from .turn_watch import TurnDetector
from .utterance_listener import UtteranceListener, VoiceActivity

CLOSING = 10.0  # s to wait for a thread at the end, before it is left behind


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
        self.self_speech = self_speech or SelfSpeechGate()
        self.own_voice = own_voice or OwnVoice(self.self_speech)
        agenda = self._agenda = Agenda(ids or itertools.count(1), machine, muted)
        outcomes = Outcomes(source, agenda, self.self_speech, self.own_voice)
        self._answering = Answering(source, agenda, outcomes, self._submit, observer)
        self._switch = SourceSwitch(source, agenda, machine, self._answering.answer)
        listening = Listening(
            source, self._switch, voice_activity, self._make_listener, agenda, self._answering
        )
        self._listener = threading.Thread(target=listening.run, name='listener', daemon=True)
        self._answerer = threading.Thread(target=self._answering.run, name='events', daemon=True)

    def _make_listener(self, request: Request, earlier: Frames) -> UtteranceListener:
        """Return what follows one utterance; `earlier` frames came behind the last one."""
        return UtteranceListener(
            request,
            self._voice_activity,
            self.self_speech,
            self._machine,
            self._make_speculation,
            self._observer.wants_partial,
            earlier,
            self._turn_detector,
            self.own_voice,
            self._source.wake,
        )

    def _make_speculation(self, request: Request) -> Speculation:
        return Speculation(
            request,
            self._transcribe,
            self._scheduler,
            self._answering.post,
            self._observer.on_partial,
            self._pace,
            self._agenda.attention,
            self.own_voice,
            self._source.wake,
        )

    def _submit(self, utterance: Utterance, model: ModelSettings) -> Job:
        """Start to transcribe all of an utterance, whether or not it has a name."""
        transcribe = self._transcribe
        return self._scheduler.submit(
            Priority.FINAL, lambda context: transcribe(utterance, model, context)
        )

    def start(self) -> None:
        """Open the source and take requests from now on; raise an AudioError if it refuses."""
        if not self._switch.start():
            return
        self._machine.update(muted=self.muted, lost='', phase=Phase.IDLE, self_speech='')
        self._answerer.start()
        self._listener.start()
        self.source_changed()

    def close(self) -> None:
        """Cancel every request, and release the source. After this `start` does nothing."""
        with self._agenda.lock:
            first, was_running = not self._agenda.closed, self._agenda.running
            requests = self._agenda.close()
        self._switch.give_up_opening()
        if first and was_running:
            for request in requests:
                self._answering.cancel(request)
            self._join(self._listener)
            self._answering.end()
            self._join(self._answerer)
        self._switch.close()
        if first:
            self._machine.update(
                phase=Phase.IDLE, self_speech='', hands_free=False, attentive=False, lost=''
            )

    def _join(self, thread: threading.Thread) -> None:
        if thread is threading.current_thread():
            return
        thread.join(CLOSING)
        if thread.is_alive():
            hangs = RuntimeError(f'the thread "{thread.name}" hangs and is left behind')
            self._answering.fail(hangs)

    # Requests

    def record(self, settings: Settings, partial: bool = False) -> Request:
        """Hear one utterance; raise a RequestError or DeviceError if that is not possible.

        While another request is under way, `settings.requests.policy` decides. Hands-free, the
        request gets the utterance that is being heard, or else the next one.
        """
        request = self._agenda.new_request(settings, partial=partial)
        with self._agenda.lock:
            if not self._agenda.running:
                raise InactiveError('the recognizer is not active')
            if self._agenda.muted and self._switch.opening:
                raise DeviceError(BEING_OPENED)
            if self._agenda.muted:
                request.claim()
                request.answer(replace(muted_now(), id=request.id))
                return request
            health = self._source.health()
            if not health.open:
                raise DeviceError(health.problem or 'the microphone is gone')
            if self._agenda.busy():
                self._resolve_conflict(settings)
            self._agenda.add(request)
        return request

    def _resolve_conflict(self, settings: Settings) -> None:
        """Make way for a new request, or raise a BusyError; under the agenda's lock."""
        policy, length = settings.requests.policy, settings.requests.queue_length
        explicit = [request for request in self._agenda.wanted() if not request.implicit]
        queued = [request for request in explicit if request.stage is Stage.QUEUED]
        if policy == 'refuse':
            raise BusyError(
                'busy: another request is under way; wait for it, or call speech/stop or '
                'speech/cancel'
            )
        if policy == 'preempt':
            for request in explicit:
                if self._agenda.hands_free and request.stage > Stage.LISTENING:
                    continue  # hands-free, that one is in nobody's way
                reason = 'canceled by a newer request (requests.policy)'
                self._agenda.halt(request, Ending.CANCELED, reason)
                self._answering.cancel(request)
        elif len(queued) >= length:
            raise BusyError(
                f'busy: {length} requests wait already (requests.queue_length); try again later'
            )

    def stop(self) -> bool:
        """Stop listening now and transcribe the speech so far; return whether it was listening."""
        with self._agenda.lock:
            for transcribed in self._agenda.transcribing():  # it does not wait on after a cough
                transcribed.halt = transcribed.halt or Ending.STOPPED
            request = self._agenda.heard
            if request is None or request.halt is not None:
                queued = self._agenda.queued()
                request = queued[0] if queued else None
            if request is None or (request.implicit and not self._hearing):
                return False
            self._agenda.halt(request, Ending.STOPPED)
            return True

    def cancel(self, request: Request | None = None) -> bool:
        """End a request with CANCELED now; return whether there was anything to cancel.

        Without a request, the oldest one is canceled, or hands-free the utterance that is being
        heard.
        """
        with self._agenda.lock:
            if request is None:
                asked = [r for r in self._agenda.wanted() if not r.implicit]
                heard = self._agenda.heard if self._hearing else None
                request = asked[0] if asked else heard
            if request is None or request.future.done():
                return False
            self._agenda.halt(request, Ending.CANCELED)
            self._answering.cancel(request)
            return True

    @property
    def _hearing(self) -> bool:
        """Whether a person speaks."""
        return self._machine.facts.phase is Phase.HEARING

    @property
    def dropped(self) -> int:
        """Utterances that were dropped since the model is too slow for hands-free."""
        return self._answering.dropped

    # Hands-free

    def set_hands_free(self, settings: Callable[[], Settings] | None) -> None:
        """Hear every utterance from now on, with the settings as they are then; None stops."""
        with self._agenda.lock:
            if not self._agenda.running:
                return
            canceled = self._agenda.set_hands_free(settings)
            if canceled is not None:
                self._answering.cancel(canceled)

    @property
    def hands_free(self) -> bool:
        """Whether every utterance is heard."""
        return self._agenda.hands_free

    def settings_changed(self) -> None:
        """Hear hands-free with the new settings, but for the sentence that is being spoken."""
        self._agenda.settings_changed()

    def wake(self, settings: Settings) -> None:
        """Need no name for a while, hands-free: somebody called the robot in another way."""
        if settings.hands_free.wake_phrases:
            now = time.monotonic()
            self._agenda.open_window(now, now + settings.hands_free.attention)

    # The microphone

    def set_muted(self, muted: bool) -> None:
        """Close the source, or open it again; raise an AudioError if it refuses.

        After a return from `set_muted(True)` the source is closed, whatever other threads call.
        """
        self._switch.set_muted(muted)

    def interrupt_opening(self) -> None:
        """Make an opening of the source give up, since it is to be muted; do not wait for it."""
        self._switch.interrupt_opening()

    @property
    def muted(self) -> bool:
        """Whether the microphone is closed for privacy."""
        return self._agenda.muted

    @property
    def level(self) -> float:
        """The level of the last tenth of a second, in dBFS."""
        return self._source.health().level

    def source_changed(self) -> None:
        """Look whether the source is gone or back; called whenever that may have changed."""
        self._switch.changed()
