"""Opening, muting and closing the source, and whether it is gone.

The switch has a lock of its own, since opening may take seconds. It is taken before the agenda's.

| field | written | read |
|---|---|---|
| whether the source is open | under the switch's lock, or to make its opening fail | by anybody |
| `opening` | under the switch's lock | without it, by those who cannot wait for it |
| whether mute interrupts the opening | set without the lock, cleared under it | under it |
| `streaming` | by the listener's thread, and by mute under the agenda's lock | by the listener |
"""

from collections.abc import Callable
import threading

from ..audio.source import AudioSource
from ..core.errors import DeviceError
from ..core.types import Transcript
from .agenda import Agenda
from .outcomes import muted_now
from .request import Request
from .state import StateMachine

INTERRUPT_AGAIN = 0.1  # s
LEAVING = 2.0  # s to wait for the listener to leave a muted utterance
BEING_OPENED = 'the microphone is being opened'


class SourceSwitch:
    """Opens and closes the source, whatever the threads ask for at the same time."""

    def __init__(
        self,
        source: AudioSource,
        agenda: Agenda,
        machine: StateMachine,
        answer: Callable[[Request, Transcript], None],
    ) -> None:
        """`answer` ends a request, without waiting for that."""
        self._source = source
        self._agenda = agenda
        self._machine = machine
        self._answer = answer
        self._lock = threading.Lock()  # opening and closing; taken before the agenda's
        self._interrupted = False  # by mute, while it was being opened
        self.opening = False
        """Whether a thread opens the source just now."""
        self.streaming = False
        """Whether the source keeps its frames: between begin and end."""

    def start(self) -> bool:
        """Open the source unless it is muted, and start the agenda; raise an AudioError.

        Return False if there is nothing to start: it has been started, or closed.
        """
        with self._lock:
            if self._agenda.running or self._agenda.closed:
                return False
            if not self._agenda.muted:
                try:
                    self._open()
                except DeviceError:
                    if not self._interrupted:
                        raise
                    self._agenda.set_muted(True)  # and whoever asked for it waits for the lock
            if not self._agenda.start():
                self._source.close()
                return False
            return True

    def interrupt_opening(self) -> None:
        """Make an opening of the source give up, since it is to be muted; do not wait for it."""
        if self.opening:
            self._interrupted = True
            self._source.close()

    def give_up_opening(self) -> None:
        """Make an opening of the source fail, since the recognizer closes; do not wait for it."""
        if self.opening:
            self._source.close()

    def close(self) -> None:
        """Close the source, and wait for whoever opens it."""
        with self._lock:
            self._source.close()

    def set_muted(self, muted: bool) -> None:
        """Close the source, or open it again; raise an AudioError if it refuses.

        After a return from `set_muted(True)` the source is closed, whatever other threads call.
        """
        # Again and again: whoever has the lock may be about to open it.
        while not self._lock.acquire(timeout=INTERRUPT_AGAIN):
            if muted:
                self.interrupt_opening()
        try:
            self._interrupted = False
            if muted == self._agenda.muted:
                return
            if not muted and self._agenda.running:
                self._open_muted()
            ended = self._agenda.set_muted(muted)
            try:
                if muted:
                    self._source.close()
                    with self._agenda.lock:
                        self.streaming = False
                        # It looks at each frame, and ten times a second without one.
                        self._agenda.wait_until_left(LEAVING)
            finally:
                self._machine.update(muted=muted)
                # Hands-free, nobody else tells that the utterance is over.
                if muted and self._agenda.hands_free:
                    self._agenda.settle()
                for request in ended:
                    self._answer(request, muted_now())
        finally:
            self._lock.release()
        self.changed()

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
        self.opening = True
        try:
            self._source.open()
        finally:
            self.opening = False

    def changed(self) -> None:
        """Look whether the source is gone or back; called whenever that may have changed."""
        if self.opening:
            return  # whoever opens it looks after that
        if not self._agenda.running or self._agenda.muted:
            self._machine.update(lost='')
            return
        health = self._source.health()
        problem = health.problem or 'the microphone is gone'
        self._machine.update(lost='' if health.open else problem)

    # The listener's thread

    def begin_stream(self) -> None:
        """Let the source keep its frames from now on, the pre-roll first."""
        self._source.begin()
        self.streaming = True

    def end_stream(self) -> None:
        """Let it keep the pre-roll alone from now on."""
        self.streaming = False
        self._source.end()
