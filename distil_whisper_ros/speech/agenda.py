"""What is to be heard: the requests without an answer, the mode, mute, and who needs no name.

The threads of the recognizer share it, and one lock guards it, which is `Agenda.lock`:

| field | written | read |
|---|---|---|
| the requests; `heard` and `latest` | under the lock | under the lock |
| of a request: stage, halt, id, utterance, rejected | under the lock | also without it |
| the mode; `running` and `closed` | under the lock | also without it |
| `muted` | under the source switch's lock and this one | also without them |
| the window of `attention` | under the lock | also without it |
| whether the settings are outdated | set without the lock, cleared under it | under the lock |

What is read without the lock is one value, true at that moment. A decision that must stay true
until it is carried out is made under the lock.

Under the lock a thread may report facts to the state machine, ask the source for its health, end
its stream, and post to the event thread. None of them may call back what takes the lock.
"""

from collections.abc import Callable, Iterator
import threading

from ..core.settings import Settings
from ..core.types import Ending, Transcript, Utterance
from .attention import Attention
from .modes import HandsFree, Mode, OneRequest
from .request import Request, Stage
from .state import MUTED, Phase, StateMachine


class Agenda:
    """What is to be heard; any thread may call it.

    A method that says "under the lock" leaves it to its caller to hold the lock.
    """

    def __init__(self, ids: Iterator[int], machine: StateMachine, muted: bool) -> None:
        """`ids` number the utterances; the machine gets the facts that follow from the agenda."""
        self._ids = ids
        self._machine = machine
        self.lock = threading.Condition()
        """Guards all of it. Whoever has it may take it again; notified of each change."""
        self.attention = Attention()
        """Who needs no name. Only the agenda opens and closes its window."""
        self.heard: Request | None = None
        """The request that the listener listens for."""
        self.latest: Request | None = None
        """The request that it listened for last."""
        self.muted, self.running, self.closed = muted, False, False
        self._requests: list[Request] = []  # without an answer, the oldest first
        self._mode: Mode = OneRequest()
        self._outdated = False  # the settings of the utterance that is waited for hands-free

    def start(self) -> bool:
        """Let requests come from now on; return False if the agenda is closed."""
        with self.lock:
            self.running = not self.closed
            return self.running

    def close(self) -> list[Request]:
        """Cancel every request, and take no more for ever; return them."""
        with self.lock:
            self.running, self.closed = False, True
            self._mode = OneRequest()
            for request in self._requests:
                self.halt(request, Ending.CANCELED)
            self.lock.notify_all()
            return [*self._requests]

    # Requests

    def new_request(
        self, settings: Settings, implicit: bool = False, partial: bool = False
    ) -> Request:
        """Return a request with the next number, which is not on the agenda yet."""
        return Request(next(self._ids), settings, implicit=implicit, partial=partial)

    def add(self, request: Request) -> None:
        """Take a request, under the lock."""
        self._requests.append(request)
        self.lock.notify_all()

    def wanted(self) -> list[Request]:
        """Return the requests that are not canceled, the oldest first; under the lock."""
        return [r for r in self._requests if r.halt is not Ending.CANCELED]

    def queued(self) -> list[Request]:
        """Return the requests that wait to be listened for, the oldest first; under the lock."""
        return [r for r in self._requests if r.stage is Stage.QUEUED and not r.halt]

    def transcribing(self) -> list[Request]:
        """Return the requests whose utterance is complete, the oldest first; under the lock."""
        return [r for r in self._requests if r.stage is Stage.TRANSCRIBING]

    def waiting_for_model(self) -> list[Request]:
        """Return the requests whose transcription has not begun, the oldest first."""
        with self.lock:
            return [r for r in self._requests if r.job is not None and not r.job.running]

    def busy(self) -> bool:
        """Return whether a new request meets another one that is under way; under the lock."""
        return self._mode.busy(self.wanted())

    def halt(self, request: Request, ending: Ending, reason: str = '') -> None:
        """Let a request end soon, unless it is canceled already; under the lock."""
        if request.halt is not Ending.CANCELED:
            request.halt, request.halt_reason = ending, reason
        self.lock.notify_all()

    def remove(self, request: Request) -> None:
        """Forget a request that has its answer."""
        with self.lock:
            if request in self._requests:
                self._requests.remove(request)
            request.stage = Stage.DONE
            self.lock.notify_all()

    # Hands-free and mute

    @property
    def hands_free(self) -> bool:
        """Whether every utterance is heard."""
        return self._mode.continuous

    def set_hands_free(self, settings: Callable[[], Settings] | None) -> Request | None:
        """Hear every utterance from now on, with the settings as they are then; None stops.

        Return the utterance without a client that is canceled by that, if there is one.
        """
        canceled = None
        with self.lock:
            self._mode = OneRequest() if settings is None else HandsFree(settings)
            if settings is None and self.heard is not None and self.heard.implicit:
                canceled = self.heard
                self.halt(canceled, Ending.CANCELED)
            self._machine.update(hands_free=settings is not None)
            if settings is None:
                self._close_window()
            self.lock.notify_all()
        return canceled

    def end_hands_free(self) -> None:
        """Stop hands-free: the recording is over, and nothing comes any more."""
        with self.lock:
            self._mode = OneRequest()
            self._close_window()
        self._machine.update(hands_free=False)

    def settings_changed(self) -> None:
        """Hear hands-free with the new settings, but for the sentence that is being spoken."""
        self._outdated = True

    def set_muted(self, muted: bool) -> list[Request]:
        """Note whether nothing may be heard; return the requests that end by that."""
        with self.lock:
            self.muted = muted
            if muted:
                self._close_window()
            ended = [r for r in self._requests if r.stage <= Stage.LISTENING] if muted else []
            for request in ended:
                self.halt(request, Ending.MUTED, MUTED)
            self.lock.notify_all()
            return ended

    # What the listener hears

    def choose(self) -> Request | None:
        """Return what is to be heard next, or None to wait; under the lock."""
        self._outdated = False  # before they are read
        wanted = None if self.muted else self._mode.next(self.wanted())
        if isinstance(wanted, Settings):
            wanted = self.new_request(wanted, implicit=True)
            self._requests.append(wanted)
        return wanted

    def needs_new_stream(self, wanted: Request | None) -> bool:
        """Return whether the audio so far is not for what is heard next; under the lock.

        While a request is transcribed its audio goes on, since it may wait for more; another
        request starts with a pre-roll of its own.
        """
        other = not self._requests if wanted is None else wanted is not self.latest
        return other and not self.hands_free

    def listen_for(self, request: Request) -> None:
        """Note that the listener listens for a request; under the lock."""
        request.stage = Stage.LISTENING
        self.heard = self.latest = request

    def take_over(self, heard: Request, speaking: bool) -> Request | None:
        """Return the request that gets the utterance of hands-free listening, if another one does.

        That is one that waits, or before anybody speaks one with the settings as they are now.
        """
        if not heard.implicit:
            return None
        with self.lock:
            queued = self.queued()
            newer = queued[0] if queued else None
            if newer is None and self._outdated and not speaking:
                self._outdated = False  # before they are read
                settings = self._mode.next([])
                if isinstance(settings, Settings) and settings != heard.settings:
                    newer = self.new_request(settings, implicit=True)
            # The utterance that is heard has no client, so it needs no answer. But if mute ended
            # it meanwhile, its audio must not go to another request.
            if newer is None or heard.halt is not None or not heard.claim():
                return None
            self._requests.remove(heard)
            if newer.implicit:
                self._requests.append(newer)
            self.listen_for(newer)
            return newer

    def complete(self, request: Request, utterance: Utterance) -> None:
        """Note that the utterance of a request is complete: nothing is heard now."""
        with self.lock:
            self.heard = None
            self.lock.notify_all()
            request.utterance = utterance
            if request.stage is not Stage.DONE:
                request.stage = Stage.TRANSCRIBING

    def give_up(self) -> Request | None:
        """Note that listening failed; return the request that was listened for."""
        with self.lock:
            request, self.heard = self.heard, None
            self.lock.notify_all()
            return request

    def resume(self, request: Request, rejected: Transcript) -> bool:
        """Listen for a request again, whose text was rejected.

        Return False if it must end, since mute or close came meanwhile.
        """
        with self.lock:
            request.rejected = rejected
            if request.halt is Ending.CANCELED:
                return True  # whoever canceled it has posted its answer
            if self.muted or not self.running:
                return False
            request.id = next(self._ids)  # each utterance has its own
            request.stage, request.utterance, request.job = Stage.QUEUED, None, None
            self.lock.notify_all()
            return True

    def wait_until_left(self, seconds: float) -> None:
        """Wait until the listener listens for nothing, at most so long.

        It may still listen for a request that has its answer, as a canceled one.
        """
        with self.lock:
            self.lock.wait_for(lambda: self.heard is None, seconds)

    def pause(self, seconds: float) -> None:
        """Wait so long, or until the agenda is closed."""
        with self.lock:
            self.lock.wait_for(lambda: not self.running, seconds)

    def settle(self) -> None:
        """Report the phase while the listener listens to nothing."""
        with self.lock:
            if self.heard is not None or (self.hands_free and not self.muted):
                return
            transcribes = any(
                not request.ends_unheard
                and request.utterance is not None
                and request.utterance.voiced
                for request in self.transcribing()
            )
            phase = Phase.TRANSCRIBING if transcribes else Phase.IDLE
            self._machine.update(phase=phase, self_speech='')

    # The window of attention

    def open_window(self, begin: float, end: float) -> None:
        """Need no name for a while, in seconds of time.monotonic(), while hands-free."""
        with self.lock:
            if self.hands_free and not self.muted:
                self.attention.open(begin, end)
                self._machine.update(attentive=True)

    def watch_window(self, now: float) -> None:
        """Close the window once its time is over, and no utterance can open it anew."""
        if not (self._machine.facts.attentive and self.attention.over(now)):
            return
        with self.lock:
            waiting = [request for request in self.transcribing() if request.implicit]
            if not waiting and self.attention.over(now):
                self._close_window()

    def _close_window(self) -> None:
        """Need a name from now on; under the lock."""
        self.attention.close()
        self._machine.update(attentive=False)
