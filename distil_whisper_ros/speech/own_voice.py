"""What the robot itself says, taken out of what was heard while it spoke.

    said    I am driving to the kitchen now.
    heard   I am drying to the kitchen. Stop and wait!
            ────────── robot ────────── ── person ────

The words of both are aligned: the longest common subsequence, in which words that look or sound
alike are the same, and words in a row count more. Four words in a row, or nearly so, or three
long ones, are the robot's. Common words alone ("to the") say nothing: a sentence that has few of
them is the person's, and whole; one that has many cannot be told from the robot's, and counts as
its own. What sounds like the robot's words at that place was misheard, and is its own, too; and so
are words in their place that the model hardly knows: they come from a voice almost canceled.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
import threading
import time

from rapidfuzz import fuzz
from rapidfuzz.distance import Indel

from ..core.scripts import is_dense
from ..core.settings import SelfSpeechSettings
from ..core.spelling import spell
from ..core.types import Hypothesis, Segment, Utterance, Word
from .attention import letters, sound_key, WORD
from .self_speech import SelfSpeechGate

SIMILAR, SIMILAR_SOUND, SOME_LETTERS = 0.8, 0.82, 0.5  # of two words that are the same
JOINED = 0.85  # of two words that are the same as one
SHORT = 4  # letters of the shortest word that is the same as one with other letters
ROW = 4  # words that are the robot's
CERTAIN, LIKELY = (3, 14), (1, 8)  # words and letters of fewer: by themselves, and beside a row
HEARD_GAP, SAID_GAP = 2, 4  # words that may be missing within such a row
MISHEARD = 0.6  # similarity of the sound and letters of a word that is the robot's, misheard
MISHEARD_WORDS = 0.7  # of the letters of several
DISTORTED, LEAST = 85, 8  # per cent of the letters of a whole text; its length
FILLER = 3  # letters of a word that a model adds
FEW = 3  # words between the robot's that may be its own, however they sound
CONFIDENT = 0.6  # mean confidence of words beside the robot's that somebody else said
SENTENCE = 0.45  # the same of more words than a FEW
SURE, GUESSED = 0.7, 0.3  # of a whole text with a few of its words, and with none
MOST_WORDS = 400  # that are compared, the latest ones
WORDS_PER_SECOND, ECHO = 2.0, 2.0  # of a slow synthesizer; s until its last word is not heard
KEPT = 32  # texts


@dataclass(frozen=True)
class _Token:
    """A word of a text and its place in it."""

    key: str
    begin: int
    end: int


def _tokens(text: str) -> list[_Token]:
    """Return the words; in a script without spaces between them, each character is one."""
    found = []
    for word in WORD.finditer(text):
        cuts = [at for at in range(word.start() + 1, word.end()) if is_dense(text[at - 1])]
        places = [word.start(), *cuts, word.end()]
        for begin, end in zip(places, places[1:]):
            found.append(_Token(letters(spell(text[begin:end])), begin, end))
    return [each for each in found if each.key]


def keys(text: str) -> list[str]:
    """Return the words of a text in the form in which they are compared."""
    return [each.key for each in _tokens(text)]


@lru_cache(maxsize=8192)
def _same(heard: str, said: str) -> bool:
    if heard == said:
        return True
    if min(len(heard), len(said)) < SHORT:
        return False
    by_letters = Indel.normalized_similarity(heard, said)
    if by_letters >= SIMILAR:
        return True
    by_sound = Indel.normalized_similarity(sound_key(heard), sound_key(said))
    return by_letters >= SOME_LETTERS and by_sound >= SIMILAR_SOUND


def _same_joined(heard: Sequence[str], said: Sequence[str]) -> bool:
    """Return whether one word is two others, of which none is the same alone: "I'm"."""
    if any(_same(one, other) for one in heard for other in said):
        return False
    return Indel.normalized_similarity(''.join(heard), ''.join(said)) >= JOINED


def _aligned(heard: Sequence[str], said: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of words that are the same, as places in both; a word may be two."""
    rows, columns = range(len(heard) + 1), range(len(said) + 1)
    best = [[0.0 for _ in columns] for _ in rows]
    ending = [[0.0 for _ in columns] for _ in rows]  # the best one that ends with these words
    steps: dict[tuple[int, int], tuple[int, int, bool]] = {}
    for row in rows[1:]:
        for column in columns[1:]:
            for up, left in ((1, 1), (1, 2), (2, 1)):
                if up > row or left > column:
                    continue
                words, own = heard[row - up : row], said[column - left : column]
                if not (_same(words[0], own[0]) if up == left else _same_joined(words, own)):
                    continue
                before = ending[row - up][column - left]
                in_row = before > 0 and before + 1 >= best[row - up][column - left]
                score = up + (before + 1 if in_row else best[row - up][column - left])
                if score > ending[row][column]:
                    ending[row][column] = score
                    steps[row, column] = up, left, in_row
            above, beside = best[row - 1][column], best[row][column - 1]
            best[row][column] = max(ending[row][column], above, beside)
    pairs, row, column, matched = [], len(heard), len(said), False
    while row and column:
        here = ending[row][column]
        if here and (matched or here == best[row][column]):
            up, left, matched = steps[row, column]
            pairs += [(row - 1 - each, column - 1) for each in range(up)]
            row, column = row - up, column - left
        elif best[row - 1][column] >= best[row][column - 1]:
            row -= 1
        else:
            column -= 1
    return pairs[::-1]


def _rows(pairs: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Yield the pairs that are in a row, or nearly so."""
    row: list[tuple[int, int]] = []
    for heard, said in pairs:
        if row:
            gaps = heard - row[-1][0] - 1, said - row[-1][1] - 1
            if gaps[0] > HEARD_GAP or gaps[1] > SAID_GAP:
                yield row
                row = []
        row.append((heard, said))
    if row:
        yield row


def _alike(heard: Sequence[str], said: Sequence[str]) -> bool:
    one, other = ''.join(heard), ''.join(said)
    by_letters = Indel.normalized_similarity(one, other)
    if len(heard) > 1 or len(said) > 1:  # all long texts sound a little alike
        return by_letters >= MISHEARD_WORDS
    by_sound = Indel.normalized_similarity(sound_key(one), sound_key(other))
    return (by_letters + by_sound) / 2 >= MISHEARD


def _misheard(hole: Sequence[str], gap: Sequence[str], inside: bool) -> bool:
    """Return whether words beside the robot's are what it said there, the `gap`, misheard."""
    count, length = len(hole), sum(map(len, hole))
    if inside and count <= FEW and count <= len(gap) + 1:
        return bool(gap) or length <= FILLER
    # "No" is like "now", but "I'm" is "I am".
    lengths = [2] if length < SHORT else [count - 1, count, count + 1]
    lengths = [each for each in lengths if 0 < each <= len(gap)]
    windows = [part for each in lengths for part in (gap[:each], gap[-each:])]
    return any(_alike(hole, part) for part in windows)


def _holes(
    count: int, pairs: Sequence[tuple[int, int]], said: Sequence[str]
) -> Iterator[tuple[range, Sequence[str], bool]]:
    """Yield places in what was heard that have no pair, what was said there, and if inside."""
    bounds = [(-1, -1), *pairs, (count, len(said))]
    for (left, before), (right, behind) in zip(bounds, bounds[1:]):
        if right - left > 1:
            hole = range(left + 1, right)
            yield hole, said[before + 1 : max(before + 1, behind)], 0 <= left and right < count


def _misheard_places(
    heard: Sequence[str], said: Sequence[str], pairs: Sequence[tuple[int, int]]
) -> set[int]:
    found: set[int] = set()
    for hole, gap, inside in _holes(len(heard), pairs, said) if pairs else ():
        # At the beginning and at the end the robot may have said much more.
        near = len(hole) + 1
        if not inside:
            gap = gap[-near:] if hole.start == 0 else gap[:near]
        words = heard[hole.start : hole.stop]
        if _misheard(words, gap, inside):
            found |= {*hole}
        elif len(hole) > 1:  # the word next to the robot's may be half of one
            if hole.start and _misheard(words[:1], gap[:1], False):
                found.add(hole.start)
            if hole.stop < len(heard) and _misheard(words[-1:], gap[-1:], False):
                found.add(hole.stop - 1)
    return found


def persons_places(
    heard: Sequence[str],
    said: Sequence[str],
    urgent: Collection[str] = (),
    confidences: Sequence[float] = (),
    clauses: Collection[int] = (),
) -> list[int]:
    """Return which of the words are the person's; both have the form of `keys`.

    `confidences` are those of the words that were heard, if they are known: the robot's voice
    through the echo canceller is heard badly, and what it becomes has little of it.
    `urgent` are words that the person said unless the robot said just them; given those, no other
    word stays but those beside them, so that "stop" stands alone and "don't stop" does not.
    `clauses` are the places at which the text has a new clause.
    """
    said = said[-MOST_WORDS:]
    rows = [*_rows(_aligned(heard, said))]
    if urgent:
        own = _beside_urgent(heard, said, rows, urgent, clauses)
    elif any(_counts(_trimmed(row, heard), heard, *CERTAIN) for row in rows):
        own = _beside_person(heard, said, rows, confidences)
    else:
        row = max(rows, key=len, default=[])
        own = {place for place, _ in row} | _misheard_places(heard, said, row)
        persons = 2 * len(own) <= len(heard) and not _is_distorted(heard, said)
        least = SURE if _counts(row, heard, *LIKELY) else GUESSED
        persons = persons and _sure(range(len(heard)), confidences, least)
        own = set() if persons else {*range(len(heard))}
    return [place for place in range(len(heard)) if place not in own]


def _beside_person(
    heard: Sequence[str],
    said: Sequence[str],
    rows: Sequence[list[tuple[int, int]]],
    confidences: Sequence[float],
) -> set[int]:
    """Return which words are the robot's, where some are for certain."""
    likely = [row for row in rows if _counts(_trimmed(row, heard), heard, *LIKELY)]
    pairs = [pair for row in likely for pair in _trimmed(row, heard)]
    own = {place for place, _ in pairs} | _misheard_places(heard, said, pairs)
    for hole, _, _ in _holes(len(heard), [(place, 0) for place in sorted(own)], said):
        if not _sure(hole, confidences, CONFIDENT if len(hole) <= FEW else SENTENCE):
            own |= {*hole}
    # Words in common do not make a sentence.
    common = {place for row in rows for place, _ in row}
    return own | common if own | common >= {*range(len(heard))} else own


def _beside_urgent(
    heard: Sequence[str],
    said: Sequence[str],
    rows: Sequence[list[tuple[int, int]]],
    urgent: Collection[str],
    clauses: Collection[int],
) -> set[int]:
    """Return which words do not count, where an urgent command may be among the robot's words."""
    pairs = [pair for row in rows for pair in row]
    in_row = {place for row in rows if len(row) > 1 for place, _ in row}
    shouted = {place for place, word in enumerate(heard) if word in urgent and word not in said}
    shouted -= in_row
    own = ({place for place, _ in pairs} | _misheard_places(heard, said, pairs)) - shouted
    if not (shouted and pairs):
        return own
    kept: set[int] = set()  # what stands elsewhere is the robot's, misheard
    run: set[int] = set()
    for place in range(len(heard) + 1):
        if place in own or place in clauses or place == len(heard):
            kept |= run if run & shouted else set()
            run = set()
        if place not in own:
            run.add(place)
    return {*range(len(heard))} - kept


def _sure(places: range, confidences: Sequence[float], least: float) -> bool:
    """Return whether words were heard well, as far as it is known."""
    known = confidences[places.start : places.stop]
    return not known or sum(known) / len(known) >= least


def _trimmed(row: list[tuple[int, int]], heard: Sequence[str]) -> list[tuple[int, int]]:
    """Return a row without the few words that stand behind a gap at its ends."""
    for _ in ('end', 'beginning'):
        breaks = [at for at in range(1, len(row)) if abs(row[at][0] - row[at - 1][0]) > 1]
        if breaks and not _counts(row[breaks[-1] :], heard, *LIKELY):
            row = row[: breaks[-1]]
        row = row[::-1]
    return row


def _counts(row: Sequence[tuple[int, int]], heard: Sequence[str], least: int, most: int) -> bool:
    """Return whether a row has so many words, or at least so many with so many letters."""
    length = sum(len(heard[place]) for place, _ in row)
    return len(row) >= ROW or (len(row) >= least and length >= most)


def _is_distorted(heard: Sequence[str], said: Sequence[str]) -> bool:
    """Return whether a whole text has the robot's letters, in other words."""
    text, own = ''.join(heard), ''.join(said)
    return LEAST <= len(text) <= len(own) and fuzz.partial_ratio(text, own) >= DISTORTED


def without_robot(
    hypothesis: Hypothesis, said: Sequence[str], urgent: Collection[str] = ()
) -> Hypothesis:
    """Return the person's part of a hypothesis: without segments if there is none.

    If all of it is the person's, the hypothesis itself is returned.
    """
    tokens = [_tokens(segment.text) for segment in hypothesis.segments]
    heard = [token.key for part in tokens for token in part]
    if not said or not heard:
        return hypothesis
    known = [c for s, part in zip(hypothesis.segments, tokens) for c in _confidences(s, part)]
    known = known if len(known) == len(heard) else []
    clauses = _clauses(hypothesis.segments, tokens)
    places = {*persons_places(heard, said, urgent, known, clauses)}
    if len(places) == len(heard):
        return hypothesis
    kept, first = [], 0
    for segment, part in zip(hypothesis.segments, tokens):
        mine = [first + number in places for number in range(len(part))]
        first += len(part)
        if all(mine):
            kept.append(segment)
        elif any(mine):
            kept.append(_cut(segment, part, mine))
    return replace(hypothesis, segments=tuple(kept))


def _clauses(segments: Sequence[Segment], tokens: Sequence[Sequence[_Token]]) -> set[int]:
    """Return which tokens begin a clause."""
    found, first = set(), 0
    for segment, part in zip(segments, tokens):
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


def _confidences(segment: Segment, tokens: Sequence[_Token]) -> list[float]:
    """Return the confidence of each token that has a word with times."""
    words = [*_places(segment)]
    found = ([w.confidence for w, b, e in words if t.begin < e and b < t.end] for t in tokens)
    return [each[0] for each in found if each]


def _cut(segment: Segment, tokens: Sequence[_Token], mine: Sequence[bool]) -> Segment:
    """Return a segment with some of its words; what stands behind a word stays with it."""
    ends = [*(token.begin for token in tokens[1:]), len(segment.text)]
    pieces = [segment.text[t.begin : end] for t, end, kept in zip(tokens, ends, mine) if kept]
    text = ''.join(pieces).strip().rstrip(',;:-–—，、')
    kept = [
        word
        for word, begin, end in _places(segment)
        if any(k and t.begin < end and begin < t.end for t, k in zip(tokens, mine))
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
        self._over = 0.0

    def add(self, text: str) -> None:
        """Note what the robot starts to say now, or says behind what it is saying."""
        words = keys(text[: 16 * MOST_WORDS])[:MOST_WORDS]
        with self._lock:
            now = self._clock()
            begin = max(now, self._over)
            self._over = min(begin + len(words) / WORDS_PER_SECOND, now + MOST_WORDS)
            self._texts.append((now, self._over + ECHO, words))

    def said(self, utterance: Utterance) -> list[str]:
        """Return the words of the robot that may be in an utterance, as `keys` does."""
        begin, end = utterance.speech_start, utterance.speech_end
        if self._gate.used and not self._gate.overlaps(begin, end):
            return []
        with self._lock:
            parts = [words for first, last, words in self._texts if first <= end and begin <= last]
        return [word for part in parts for word in part][-MOST_WORDS:]

    def is_beside(self, utterance: Utterance, settings: SelfSpeechSettings) -> bool:
        """Return whether its words may be in what is heard, since people may interrupt it."""
        return settings.barge_in and bool(self.said(utterance))

    def without(
        self, utterance: Utterance, hypothesis: Hypothesis, urgent: Collection[str] = ()
    ) -> Hypothesis:
        """Return the person's part of a hypothesis; see `without_robot`."""
        return without_robot(hypothesis, self.said(utterance), urgent)
