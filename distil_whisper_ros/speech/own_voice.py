"""What the robot itself says, taken out of what was heard while it spoke.

    said    I am driving to the kitchen now.
    heard   I am drying to the kitchen. Stop and wait!
            ────────── robot ────────── ── person ────

`own_words` decides whose a word is. Here the hypothesis is cut, and `OwnVoice` remembers what the
robot says, when, and how loud the microphone hears it.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
import statistics
import threading
import time

import numpy as np

from ..audio.high_pass import HighPass
from ..audio.levels import level
from ..core.audio_format import FRAME_LENGTH, SAMPLE_RATE, Samples
from ..core.settings import SelfSpeechSettings
from ..core.types import Hypothesis, Segment, Utterance, Word
from .own_words import Heard, keys, MOST_WORDS, shares, Token, tokens
from .self_speech import SelfSpeechGate

WORDS_PER_SECOND, ECHO = 2.0, 2.0  # of a slow synthesizer; s until its last word is not heard
PAUSE = 5.0  # s of silence within what the robot says; after more, nobody says the rest
KEPT, ECHOES = 32, 8  # texts; utterances whose level is remembered
SHORTEST = 0.06  # s of a word, to measure its level


@dataclass(frozen=True)
class PersonsPart:
    """What the person said of what was heard."""

    hypothesis: Hypothesis
    """Without segments if nothing is the person's; the whole one itself if all of it is."""
    echo: float | None = None
    """The level of the robot's words in dBFS; None if no word is its own for certain."""


def persons_part(
    hypothesis: Hypothesis,
    said: Sequence[str],
    urgent: Collection[str] = (),
    samples: Samples | None = None,
    echo: float | None = None,
) -> PersonsPart:
    """Return a hypothesis without the robot's words.

    `said`, `urgent` and `echo` are those of `shares`; `samples` are the utterance's.
    """
    segments = hypothesis.segments
    parts = [tokens(segment.text) for segment in segments]
    words = [token.key for part in parts for token in part]
    if not said or not words:
        return PersonsPart(hypothesis)
    timed = [word for each in zip(segments, parts) for word in _words(*each)]
    known = len(timed) == len(words)
    heard = Heard(
        words,
        [word.confidence for word in timed] if known else (),
        _levels(timed, samples) if known and samples is not None else (),
        _clauses(segments, parts),
    )
    found = shares(heard, said, urgent, echo)
    if len(found.persons) == len(words):
        return PersonsPart(hypothesis, found.echo)
    places, kept, first = {*found.persons}, [], 0
    for segment, part in zip(segments, parts):
        mine = [first + number in places for number in range(len(part))]
        first += len(part)
        if all(mine):
            kept.append(segment)
        elif any(mine):
            kept.append(_cut(segment, part, mine))
    return PersonsPart(replace(hypothesis, segments=tuple(kept)), found.echo)


def _levels(timed: Sequence[Word], samples: Samples) -> list[float]:
    """Return the level of each word in dBFS, without rumble."""
    whole, high_pass = len(samples) // FRAME_LENGTH * FRAME_LENGTH, HighPass()
    frames = [*map(high_pass, samples[:whole].reshape(-1, FRAME_LENGTH))]
    clear = np.concatenate(frames or [samples])
    ends = [max(word.end, word.start + SHORTEST) for word in timed]
    return [
        level(clear[round(word.start * SAMPLE_RATE) : round(end * SAMPLE_RATE)])
        for word, end in zip(timed, ends)
    ]


def _clauses(segments: Sequence[Segment], parts: Sequence[Sequence[Token]]) -> set[int]:
    """Return which tokens begin a clause."""
    found, first = set[int](), 0
    for segment, part in zip(segments, parts):
        ends = [0, *(token.end for token in part)]
        between = [segment.text[end : token.begin] for end, token in zip(ends, part)]
        found |= {first + at for at, text in enumerate(between) if not {*text} <= {' '} or not at}
        first += len(part)
    return found


def _places(segment: Segment) -> Iterator[tuple[Word, int, int]]:
    """Yield the words with times, and their places in the text."""
    end = 0
    for word in segment.words:
        text = word.text.strip()
        begin = max(segment.text.find(text, end), end)
        end = begin + len(text)
        yield word, begin, end


def _words(segment: Segment, part: Sequence[Token]) -> list[Word]:
    """Return the word with times of each token that has one."""
    words = [*_places(segment)]
    found = ([word for word, b, e in words if t.begin < e and b < t.end] for t in part)
    return [each[0] for each in found if each]


def _cut(segment: Segment, part: Sequence[Token], mine: Sequence[bool]) -> Segment:
    """Return a segment with some of its words; what stands behind a word stays with it."""
    ends = [*(token.begin for token in part[1:]), len(segment.text)]
    pieces = [segment.text[t.begin : end] for t, end, kept in zip(part, ends, mine) if kept]
    text = ''.join(pieces).strip().rstrip(',;:-–—，、')
    kept = [
        word
        for word, begin, end in _places(segment)
        if any(k and t.begin < end and begin < t.end for t, k in zip(part, mine))
    ]
    # Commands and confidence are about the robot's words too, so they do not count.
    return replace(
        segment,
        text=text[:1].upper() + text[1:],
        words=tuple(kept),
        start=kept[0].start if kept else segment.start,
        end=kept[-1].end if kept else segment.end,
        phrases=None,
        mean_log_confidence=None,
    )


class OwnVoice:
    """Remembers what the robot says, and when. Any thread may call it."""

    def __init__(
        self, gate: SelfSpeechGate | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`gate` knows when the robot speaks, if anybody tells it; else its text is the sign."""
        self._gate = gate or SelfSpeechGate(clock)
        self._clock = clock
        self._lock = threading.Lock()
        self._texts: deque[tuple[float, float, list[str]]] = deque(maxlen=KEPT)
        self._echoes: dict[float, float] = {}  # its level in each of the last utterances

    def add(self, text: str) -> None:
        """Note what the robot starts to say now, or says behind what it is saying."""
        words = keys(text[: 16 * MOST_WORDS])[:MOST_WORDS]
        with self._lock:
            now = self._clock()
            before = self._end(*self._texts[-1][:2]) - ECHO if self._texts else now
            over = min(max(now, before) + len(words) / WORDS_PER_SECOND, now + MOST_WORDS)
            self._texts.append((now, over + ECHO, words))

    def _end(self, first: float, last: float) -> float:
        """Return when a text is over: at `last`, or sooner if the robot was interrupted."""
        return min(last, self._gate.silent_since(first, PAUSE) + PAUSE)

    def said(self, utterance: Utterance) -> list[str]:
        """Return the words of the robot that may be in an utterance, as `keys` does."""
        begin, end = utterance.speech_start, utterance.speech_end
        if self._gate.used and not self._gate.overlaps(begin, end):
            return []
        with self._lock:
            parts = [
                words
                for first, last, words in self._texts
                if first <= end and begin <= self._end(first, last)
            ]
        return [word for part in parts for word in part][-MOST_WORDS:]

    def says(self, utterance: Utterance, text: str) -> bool:
        """Return whether all words of a text are among the robot's during an utterance."""
        words = {*keys(text)}
        return bool(words) and words <= {*self.said(utterance)}

    def is_beside(self, utterance: Utterance, settings: SelfSpeechSettings) -> bool:
        """Return whether its words may be in what is heard, since people may interrupt it."""
        return settings.barge_in and bool(self.said(utterance))

    def without(
        self, utterance: Utterance, hypothesis: Hypothesis, urgent: Collection[str] = ()
    ) -> Hypothesis:
        """Return the person's part of a hypothesis; `urgent` is that of `shares`."""
        said = self.said(utterance)
        if not said:
            return hypothesis
        with self._lock:
            before = statistics.median(self._echoes.values()) if self._echoes else None
        part = persons_part(hypothesis, said, urgent, utterance.samples, before)
        if part.echo is not None:
            with self._lock:
                self._echoes[utterance.time] = part.echo
                for oldest in [*self._echoes][:-ECHOES]:
                    del self._echoes[oldest]
        return part.hypothesis
