"""The listener's thread: one utterance after the other, from its first frame to its ending.

    agenda ──request──► UtteranceListener ◄──frames── source
                               └──utterance, work ahead──► answering

No exception ends the thread: the request that it belongs to gets its answer, and the next one is
heard. What the thread shares is in the agenda and the source switch; its own fields need no lock.
"""

from collections.abc import Callable, Sequence
import time

from ..audio.source import AudioSource
from ..core.audio_format import Frame
from ..core.errors import DeviceError
from ..core.types import Ending, Utterance
from .agenda import Agenda
from .answering import Answering
from .outcomes import failed
from .request import Request
from .source_switch import SourceSwitch
from .speculation import Speculation
from .utterance_listener import UtteranceListener, VoiceActivity

LOOK_AGAIN = 0.2  # s between checks of a microphone that is gone, hands-free
LONGEST_PAUSE = 5.0  # s between tries after failures in a row
STALLED = 10.0  # s without a frame of a live source, after which it counts as gone
AT_LEISURE = 4  # frames to wait for while nobody speaks: each wake-up costs

Frames = Sequence[tuple[Frame, float]]  # with their probabilities of speech


class Listening:
    """Listens to one utterance after the other, as the agenda wants it."""

    def __init__(
        self,
        source: AudioSource,
        switch: SourceSwitch,
        voice_activity: VoiceActivity,
        make_listener: Callable[[Request, Frames], UtteranceListener],
        agenda: Agenda,
        answering: Answering,
    ) -> None:
        """`make_listener` makes the listener of one utterance.

        It takes the request, and the frames that came behind the last utterance.
        """
        self._source = source
        self._switch = switch
        self._voice_activity = voice_activity
        self._make_listener = make_listener
        self._agenda = agenda
        self._answering = answering
        self._ahead: Speculation | None = None  # of the utterance that is heard

    def run(self) -> None:
        """Listen to one utterance after the other until the agenda is closed."""
        earlier: Frames = []
        failures = 0
        while True:
            request = None
            try:
                self._ahead = None
                request = self._next()
                if request is None:
                    return
                request, utterance, earlier = self._listen(request, earlier)
                self._hand_over(request, utterance)
                failures = 0
            except Exception as error:
                failures += 1
                earlier = []
                self._recover(request, error, failures)

    def _next(self) -> Request | None:
        """Wait for the next request to listen for; return None when the agenda is closed."""
        if self._source.live:
            self._agenda.watch_window(time.monotonic())
        with self._agenda.lock:
            while self._agenda.running:
                wanted = None if self._is_behind() else self._agenda.choose()
                if self._switch.streaming and self._agenda.needs_new_stream(wanted):
                    self._switch.end_stream()
                if wanted is not None:
                    self._agenda.listen_for(wanted)
                    return wanted
                self._agenda.lock.wait()
            return None

    def _is_behind(self) -> bool:
        """Return whether a recording must wait for the model; under the agenda's lock.

        Live audio does not wait: `answering` drops the oldest utterances.
        """
        if self._source.live or not self._agenda.hands_free:
            return False
        waiting = self._agenda.transcribing()
        return bool(waiting) and len(waiting) > waiting[0].settings.hands_free.queue_length

    def _listen(self, request: Request, earlier: Frames) -> tuple[Request, Utterance, Frames]:
        """Take frames until the utterance is complete, for whatever reason.

        Return the request that gets it, the utterance, and the frames after it.
        """
        listener = self._make_listener(request, earlier)
        self._ahead = listener.speculation
        note = ''
        try:
            self._begin(listener)
            ending = listener.take_earlier() or self._follow(listener)
        except EOFError:
            ending = Ending.SOURCE_ENDED
            self._agenda.end_hands_free()
        except DeviceError as error:
            # It is no fault if mute or close has closed the source.
            halt = listener.request.halt
            ending, note = halt or Ending.MICROPHONE_LOST, '' if halt else str(error)
            self._switch.changed()
            if listener.request.implicit and not self._switch.streaming:
                self._agenda.pause(LOOK_AGAIN)
        if ending in (Ending.MICROPHONE_LOST, Ending.MUTED):
            self._switch.end_stream()
        utterance, rest = listener.end(ending, note or listener.request.halt_reason)
        return listener.request, utterance, rest

    def _begin(self, listener: UtteranceListener) -> None:
        """Start to keep the source's frames, unless they are kept already."""
        if not self._switch.streaming:
            listener.forget_earlier()
            self._switch.begin_stream()
            self._voice_activity.reset()
            self._switch.changed()

    def _follow(self, listener: UtteranceListener) -> Ending:
        """Read frames until the utterance ends; raise EOFError or DeviceError as the source."""
        last = time.monotonic()
        while True:
            newer = self._agenda.take_over(listener.request, listener.speaking)
            if newer is not None:
                listener.hand_over(newer)
                self._ahead = listener.speculation
            if listener.request.halt is not None:
                return listener.request.halt
            frame = self._source.read(1 if listener.speaking else AT_LEISURE)
            now = time.monotonic()
            heard_until = now if self._source.live or frame is None else frame.time
            attention = self._agenda.attention
            if not (listener.speaking and attention.covers(listener.speech_start)):
                self._agenda.watch_window(heard_until)
            if frame is not None:
                last = now
                ending = listener.take(frame)
            elif now - last > STALLED:
                raise DeviceError(f'the microphone has delivered nothing for {STALLED:g} s')
            else:  # evidence may have come, which need not wait for the next frame
                ending = listener.look()
            if ending is not None:
                return ending

    def _hand_over(self, request: Request, utterance: Utterance) -> None:
        """Let the event thread go on with an utterance."""
        ahead, self._ahead = self._ahead, None
        assert ahead is not None
        self._agenda.complete(request, utterance)
        self._agenda.settle()
        self._answering.take(request, utterance, ahead)

    def _recover(self, request: Request | None, error: Exception, failures: int) -> None:
        """Answer the request that failed while listening, and make the parts ready again."""
        self._answering.fail(error)
        request = self._agenda.give_up() or request
        if request is not None:
            self._answering.answer(request, failed(error))
        try:
            if self._ahead is not None:
                self._ahead.end()
                self._ahead.discard()
            self._switch.end_stream()
            self._voice_activity.reset()
        except Exception as another:
            self._answering.fail(another)
        self._agenda.settle()
        if failures > 1:
            self._agenda.pause(min(LONGEST_PAUSE, LOOK_AGAIN * 2**failures))
