"""Which of the words that were heard are the robot's own.

The words of both are aligned: the longest common subsequence, in which words that look or sound
alike are the same, and words in a row count more. Four words in a row, or nearly so, or three
long ones, are the robot's. Common words alone ("to the") say nothing: a sentence that has few of
them is the person's, and whole; one that has many cannot be told from the robot's, and counts as
its own. What sounds like the robot's words at that place was misheard, and is its own, too. So are
words that the model hardly knows, or that are no louder than the robot's: a voice almost canceled.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
import statistics

from rapidfuzz import fuzz
from rapidfuzz.distance import Indel

from ..core.scripts import is_dense
from ..core.spelling import spell
from .attention import letters, sound_key, WORD

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
SURE, GUESSED = 0.7, 0.3  # of a whole text that may be the robot's, and of another
# dB above the robot's words in the same microphone. In benchmarks/barge_in.py its own words,
# misheard, were up to 3 dB louder than the others, and people's that were heard 20 dB and more.
LOUDER = 6.0
MOST_WORDS = 400  # that are compared, the latest ones
NEGATED = 3  # words behind a negation that it is about
NEGATIONS = frozenset('not never no dont cant wont without'.split())


@dataclass(frozen=True)
class Token:
    """A word of a text and its place in it."""

    key: str
    begin: int
    end: int


def tokens(text: str) -> list[Token]:
    """Return the words; in a script without spaces between them, each character is one."""
    found = []
    for word in WORD.finditer(text):
        cuts = [at for at in range(word.start() + 1, word.end()) if is_dense(text[at - 1])]
        places = [word.start(), *cuts, word.end()]
        for begin, end in zip(places, places[1:]):
            found.append(Token(letters(spell(text[begin:end])), begin, end))
    return [each for each in found if each.key]


def keys(text: str) -> list[str]:
    """Return the words of a text in the form in which they are compared."""
    return [each.key for each in tokens(text)]


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


@dataclass(frozen=True)
class Heard:
    """The words of a text in the form of `keys`, and what is known of each of them."""

    keys: Sequence[str]
    confidences: Sequence[float] = ()
    """From 0 to 1; empty if they are not known. A canceled voice is heard badly."""
    levels: Sequence[float] = ()
    """In dBFS; empty if they are not known. A canceled voice is quiet."""
    clauses: Collection[int] = ()
    """The places at which a new clause begins."""


@dataclass(frozen=True)
class Shares:
    """Whose the words are."""

    persons: list[int]
    """The places of the person's words."""
    echo: float | None = None
    """The level of the robot's words in dBFS; None if no word is its own for certain."""


def shares(
    heard: Heard, said: Sequence[str], urgent: Collection[str] = (), echo: float | None = None
) -> Shares:
    """Return which of the words are the person's.

    `said` are the robot's words in the form of `keys`, and `echo` is the level that they had
    before, in dBFS, if it is known.
    `urgent` are words that the person said unless the robot said just them; given those, no other
    word stays but those beside them, so that "stop" stands alone and "don't stop" does not.
    """
    words, said = heard.keys, said[-MOST_WORDS:]
    rows = [*_rows(_aligned(words, said))]
    here = None
    if urgent:
        own = _beside_urgent(words, said, rows, urgent, heard.clauses)
    elif any(_counts(_trimmed(row, words), words, *CERTAIN) for row in rows):
        likely = [row for row in rows if _counts(_trimmed(row, words), words, *LIKELY)]
        pairs = [pair for row in likely for pair in _trimmed(row, words)]
        here = _level(heard, [place for place, _ in pairs])
        own = _beside_person(heard, said, rows, pairs, here)
    else:
        row = max(rows, key=len, default=[])
        own = {place for place, _ in row} | _misheard_places(words, said, row)
        persons = 2 * len(own) <= len(words) and not _is_distorted(words, said)
        whole, some = range(len(words)), _counts(row, words, *LIKELY)
        least = GUESSED if _is_louder(heard, whole, echo) and not some else SURE
        own = set() if persons and _sure(heard, whole, least) else {*whole}
    return Shares([place for place in range(len(words)) if place not in own], here)


def _beside_person(
    heard: Heard,
    said: Sequence[str],
    rows: Sequence[list[tuple[int, int]]],
    pairs: Sequence[tuple[int, int]],
    echo: float | None,
) -> set[int]:
    """Return which words are the robot's, where the `pairs` are for certain."""
    words = heard.keys
    own = {place for place, _ in pairs} | _misheard_places(words, said, pairs)
    for hole, _, _ in _holes(len(words), [(place, 0) for place in sorted(own)], said):
        least = CONFIDENT if len(hole) <= FEW else SENTENCE
        if _sure(heard, hole, least) and _is_louder(heard, hole, echo):
            own |= _quiet_ends(heard, hole, echo)
        else:
            own |= {*hole}
    # Words in common do not make a sentence.
    common = {place for row in rows for place, _ in row}
    return own | common if own | common >= {*range(len(words))} else own


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
    # The model repeats a word that was said once.
    own |= {place for place, word in enumerate(heard) if word in urgent and word in said}
    # "Don't stop" is the person's, although the robot says "do not enter".
    certain = _unbroken(pairs, CERTAIN[0])
    negations = {
        place
        for place, word in enumerate(heard)
        if word in NEGATIONS and shouted & {*range(place + 1, place + 1 + NEGATED)}
    } - certain
    own -= negations
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
    return {*range(len(heard))} - kept - negations


def _unbroken(pairs: Sequence[tuple[int, int]], least: int) -> set[int]:
    """Return the places of at least so many pairs that follow each other without a gap."""
    found: set[int] = set()
    run: list[tuple[int, int]] = []
    for pair in [*pairs, (-1, -1)]:
        if run and pair != (run[-1][0] + 1, run[-1][1] + 1):
            found |= {place for place, _ in run} if len(run) >= least else set()
            run = []
        run.append(pair)
    return found


def _sure(heard: Heard, places: range, least: float) -> bool:
    """Return whether words were heard well, as far as it is known."""
    known = heard.confidences[places.start : places.stop]
    return not known or sum(known) / len(known) >= least


def _level(heard: Heard, places: Collection[int]) -> float | None:
    """Return the level of words, without the loudest and the softest of them."""
    return statistics.median(heard.levels[each] for each in places) if heard.levels else None


def _is_louder(heard: Heard, places: range, echo: float | None) -> bool:
    """Return whether words are louder than the robot's voice, as far as both are known."""
    level = _level(heard, places)
    return level is None or echo is None or level >= echo + LOUDER


def _quiet_ends(heard: Heard, places: range, echo: float | None) -> set[int]:
    """Return the words at both ends of louder ones that are as quiet as the robot's."""
    if not heard.levels or echo is None:
        return set()
    loud = [place for place in places if heard.levels[place] >= echo + LOUDER / 2]
    return {place for place in places if not loud[0] <= place <= loud[-1]}


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
