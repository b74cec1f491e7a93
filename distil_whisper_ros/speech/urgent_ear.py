"""Urgent commands while the robot speaks: the microphone hears the robot, too.

frame ──► LouderVoice: is somebody louder than the robot?
             ├── yes ──► pieces of that voice alone ─┐
             └── all ──► pieces of the whole ────────┴──► UrgentWatch
"""

from collections.abc import Callable
from dataclasses import replace

from ..core.audio_format import Frame, frame_count, FRAME_DURATION, FRAME_LENGTH
from ..core.settings import Settings
from ..core.types import Ending, Utterance
from .endpointer import Endpointer
from .louder_voice import LouderVoice
from .urgent import UrgentCommand, UrgentWatch
from .utterance_buffer import UtteranceBuffer

PIECE = 3.0  # s of what is heard during robot speech that belong together
PIECE_SILENCE = 0.3  # s of silence that end such a piece before
LOUDER_PRE_ROLL = 0.064  # s before a voice that is louder than the robot: its "s" is not
LOUDER_WIDER = 0.2  # s, with which it is tried again: its "s" may be longer
LOUDER_SILENCE = 0.5  # s: the quiet parts of a sentence are lost in the robot's voice


class Pieces:
    """Makes drafts of speech that may have no silence: in pieces, each one an utterance.

    A piece ends at a short silence, or when it is PIECE s long.
    """

    def __init__(
        self,
        settings: Settings,
        pre_roll: float,
        silence: float,
        new_watch: Callable[[], UrgentWatch],
        wider: float = 0.0,
    ) -> None:
        """`pre_roll` is heard before the speech of a piece, and `silence` ends it; in seconds.

        At a pause, another draft has `wider` seconds before it; 0 makes none.
        """
        self._piece = replace(
            settings.utterance, max_duration=PIECE, end_silence=silence, min_speech=0.0
        )
        self._pre_roll, self._new_watch = pre_roll, new_watch
        self._wider = frame_count(max(pre_roll, wider)) if wider else 0
        self._watch = self._last = new_watch()
        self._begin([])

    def _begin(self, earlier: list[tuple[Frame, float]]) -> None:
        """Begin a piece; the draft of the last one may still be under way."""
        self._endpointer = Endpointer(self._piece, self._pre_roll, True)
        self._buffer = UtteranceBuffer(max(self._wider, frame_count(self._pre_roll)), earlier)
        self._last.discard()
        self._last, self._watch = self._watch, self._new_watch()

    @property
    def speaking(self) -> bool:
        """Whether there is speech in the piece so far."""
        return self._endpointer.speaking

    def take(self, frame: Frame, probability: float, makes_drafts: bool = True) -> None:
        """Take a frame with its probability of speech."""
        ending = self._endpointer.step(probability)
        self._buffer.push(frame, probability, self._endpointer.speaking)
        if ending is not None:
            # The end of one piece is the pre-roll of the next: it is no beginning of a sentence.
            self._begin(self._buffer.rest(None))
        elif self._endpointer.speaking and makes_drafts:
            wider = self._whole if self._wider else None
            self._watch.follow(self._endpointer, self._so_far, wider)

    def _whole(self) -> Utterance:
        return self._buffer.utterance(self._endpointer, Ending.COMMAND, '')

    def _so_far(self) -> Utterance:
        whole = self._whole()
        before = round((whole.speech_start - whole.time) / FRAME_DURATION)
        surplus = before - frame_count(self._pre_roll) if self._wider else 0
        return whole if surplus <= 0 else _without_first(whole, surplus)

    def found(self) -> UrgentCommand | None:
        """Return the urgent command, once a draft that is done is one."""
        return self._last.found() or self._watch.found()

    def discard(self) -> None:
        """Abort the drafts that are made."""
        self._last.discard()
        self._watch.discard()


def _without_first(utterance: Utterance, frames: int) -> Utterance:
    return replace(
        utterance,
        samples=utterance.samples[frames * FRAME_LENGTH :],
        time=utterance.time + frames * FRAME_DURATION,
        speech=utterance.speech[frames:],
    )


class UrgentEar:
    """Hears urgent commands while the robot speaks, and drops everything else.

    The microphone hears the robot, too. A person is louder: what is louder than the robot is heard
    by itself. The whole is heard as well, for a person who is not, and while the robot is silent.
    """

    def __init__(self, settings: Settings, new_watch: Callable[[bool], UrgentWatch]) -> None:
        """`new_watch` makes a watch; its argument is the watch's `alone`."""
        self._threshold = settings.utterance.vad_threshold
        self._louder_voice = LouderVoice()
        pre_roll = settings.microphone.pre_roll
        self._whole = Pieces(settings, pre_roll, PIECE_SILENCE, lambda: new_watch(False))
        self._louder = Pieces(
            settings, LOUDER_PRE_ROLL, LOUDER_SILENCE, lambda: new_watch(True), LOUDER_WIDER
        )

    def take(self, frame: Frame, probability: float) -> None:
        """Take a frame with its probability of speech."""
        spoken = probability >= self._threshold
        louder = self._louder_voice.is_louder(frame.samples, spoken)
        before = self._louder.speaking
        self._louder.take(frame, probability if louder else 0.0)
        if self._louder.speaking and not before:
            self._whole.discard()  # its draft would be in the way
        self._whole.take(frame, probability, not self._louder.speaking)

    def found(self) -> UrgentCommand | None:
        """Return the urgent command, once a draft that is done is one."""
        return self._louder.found() or self._whole.found()

    def discard(self) -> None:
        """Abort the drafts that are made."""
        self._louder.discard()
        self._whole.discard()
