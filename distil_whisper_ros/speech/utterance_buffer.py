"""The frames of an utterance while it is heard; at its end, the speech is cut out of them."""

from collections import deque
from collections.abc import Sequence
import math

import numpy as np

from ..audio.levels import decibels, variance
from ..core.audio_format import Frame, frame_count, FRAME_DURATION, Samples
from ..core.types import Ending, Utterance
from .endpointer import Endpointer, ONSET_AGE

CUT = 47  # frames, the last second and a half of an utterance that is too long
MARGIN = 0.096  # s kept behind the last word, which fades out; see docs/measurements.md


class UtteranceBuffer:
    """The frames of an utterance; before speech starts, only the last `pre_roll` of them."""

    def __init__(self, pre_roll: int | None, earlier: Sequence[tuple[Frame, float]] = ()) -> None:
        """`pre_roll` is in frames; None keeps all frames.

        `earlier` frames, with their probabilities of speech, were heard before the first push.
        """
        self._pre_roll = pre_roll
        kept = earlier[-pre_roll - ONSET_AGE :] if pre_roll is not None else earlier
        self._frames: deque[tuple[Frame, float]] = deque(kept)
        self._first = -len(kept)  # index of the first kept frame since the request
        self._loudest = -120.0
        self._cut: int | None = None  # index of the frame behind an utterance that was too long

    def push(self, frame: Frame, probability: float, speaking: bool) -> None:
        """Take the next frame, and whether speech started."""
        self._frames.append((frame, probability))
        self._loudest = max(self._loudest, decibels(variance(frame.samples)))
        if self._pre_roll is not None and not speaking:
            while len(self._frames) > self._pre_roll + ONSET_AGE:
                self._frames.popleft()
                self._first += 1

    def utterance(self, endpointer: Endpointer, ending: Ending, note: str) -> Utterance:
        """Cut the speech out of the kept frames, with the pre-roll and a margin behind it."""
        frames = list(self._frames)
        start, end = endpointer.speech_start, endpointer.speech_end
        if not frames or start is None or end is None:
            return Utterance.none(ending, note, self._loudest)
        first, last = max(0, start - self._first), end - self._first
        voiced = endpointer.voiced
        if self._pre_roll is not None:
            begin = max(0, first - self._pre_roll)
            behind = last + frame_count(MARGIN)
            if ending is Ending.MAX_DURATION:
                last = behind = self._cut = quietest(frames, max(first, behind - CUT), last)
                voiced -= endpointer.voiced_from(self._first + last)
            frames = frames[begin:behind]
            first, last = first - begin, last - begin
        return Utterance(
            samples=np.concatenate([frame.samples for frame, _ in frames]),
            time=frames[0][0].time,
            ending=ending,
            speech=tuple(probability for _, probability in frames),
            speech_start=frames[first][0].time,
            speech_end=frames[last - 1][0].time + FRAME_DURATION,
            voiced=voiced * FRAME_DURATION,
            loudest=self._loudest,
            note=note,
        )

    def latest(self, seconds: float, endpointer: Endpointer) -> Samples:
        """Return the utterance so far with the pause behind it: its last `seconds` at most."""
        frames = list(self._frames)
        start = endpointer.speech_start
        if start is not None and self._pre_roll is not None:
            frames = frames[max(0, start - self._first - self._pre_roll) :]
        return np.concatenate([frame.samples for frame, _ in frames[-frame_count(seconds) :]])

    def rest(self, endpointer: Endpointer | None) -> list[tuple[Frame, float]]:
        """Return the frames behind the utterance: they may be the pre-roll of the next one."""
        frames = list(self._frames)
        if endpointer is None or endpointer.speech_end is None:
            return frames
        if self._cut is not None:
            return frames[self._cut :]
        return frames[endpointer.speech_end - self._first + frame_count(MARGIN) :]


def quietest(frames: Sequence[tuple[Frame, float]], first: int, last: int) -> int:
    """Return the index behind the quietest frame from `first` to `last`, to cut there.

    Five frames count together, 0.16 s: a pause between words is that long, a closed consonant is
    shorter. Where it is equally quiet, later is better.
    """
    powers = [variance(frame.samples) for frame, _ in frames[first:last]]
    best, cut = math.inf, last
    for index in range(len(powers)):
        around = powers[max(0, index - 2) : index + 3]
        loudness = sum(around) / len(around)
        if loudness <= best:
            best, cut = loudness, first + index + 1
    return cut
