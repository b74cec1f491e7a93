"""A name to listen to: whether a text begins with it, and how long the robot listens after it.

A small model writes a name as it sounds: "Hey robots", "A robot", "Herobot", "Hay row boat". So
the first words of a text are compared with each wake phrase by their letters and by a sound key,
in which all vowels are one, and consonants that sound alike. Both must have the same first sound,
since "the robot" is about a robot, and not to it.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
import math
import re
import unicodedata

from rapidfuzz.distance import Indel

from ..core.scripts import is_dense
from ..core.types import Hypothesis, Utterance

SIMILAR = 0.86  # of the letters or of the sound key, from which on it is the phrase
SOME_LETTERS = 0.5  # that must be the same where the sound key decides: no "Harry Potter"
MORE_WORDS = 2  # than the phrase has: "hey row boat"
DIGRAPHS = (('th', '0'), ('ph', 'f'), ('sh', 's'), ('ch', 's'), ('ck', 'k'), ('gh', ''))
SOUNDS = str.maketrans('eiouywbdgcqjvzxm', 'aaaaaaptkkkkfssn', 'h')
KEPT = frozenset('¿¡#@&%\'"“„«‘([{/')  # may begin what is behind the name
SIGNED = re.compile(r'[-–−]\d')
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def letters(text: str) -> str:
    """Return the letters and digits of a text, without accents and capitals."""
    plain = unicodedata.normalize('NFKD', text.casefold())
    return ''.join(each for each in plain if each.isalnum())


@lru_cache(maxsize=1024)
def sound_key(plain: str) -> str:
    """Return a rough key of the sound of letters: one vowel, and one consonant of those alike."""
    for written, sound in DIGRAPHS:
        plain = plain.replace(written, sound)
    return re.sub(r'(.)\1+', r'\1', plain.translate(SOUNDS))


def name_end(text: str, phrases: Sequence[str]) -> int:
    """Return the number of characters of a text that are one of the phrases; 0 if none is."""
    best, found = 0.0, 0
    ends = _word_ends(text, 2 * max(map(len, phrases), default=0))
    for phrase in phrases:
        known = letters(phrase)
        limit = len(_word_ends(phrase, len(phrase))) + MORE_WORDS
        for end in ends[:limit] if known else ():
            similar = _similarity(letters(text[:end]), known)
            if similar > best:
                best, found = similar, end
    return found if best >= SIMILAR else 0


def _word_ends(text: str, longest: int) -> list[int]:
    """Return where words end; in a script without spaces between them, each character is one."""
    found = []
    for word in WORD.finditer(text[: longest + 40]):
        inside = range(word.start() + 1, word.end())
        found += [each for each in inside if is_dense(text[each - 1])]
        found.append(word.end())
    return found


def _similarity(said: str, known: str) -> float:
    by_letters = Indel.normalized_similarity(said, known)
    sound, expected = sound_key(said), sound_key(known)
    if by_letters < SOME_LETTERS or sound[:1] != expected[:1]:
        return 0.0
    return max(by_letters, Indel.normalized_similarity(sound, expected))


def behind_name(text: str, end: int) -> str:
    """Return what a text says behind the name, which has its first `end` characters.

    It begins with a capital, which the model does not write behind a name.
    """
    # At the name itself are its last letter's marks and the quotes that it had open.
    while end < len(text) and unicodedata.category(text[end])[0] in 'PM':
        end += 1
    while end < len(text) and _is_between(text, end):
        end += 1
    rest = text[end:]
    return rest[:1].upper() + rest[1:]


def _is_between(text: str, index: int) -> bool:
    """Return whether a character belongs neither to the name nor to what is behind it."""
    letter = text[index]
    if letter in KEPT or SIGNED.match(text, index):
        return False
    return letter.isspace() or unicodedata.category(letter).startswith('P')


def may_become_name(text: str, phrases: Sequence[str]) -> bool:
    """Return whether a text that grows is short, and begins as one of the phrases does."""
    count, sound = len(_word_ends(text, len(text))), sound_key(letters(text))[:1]
    return any(
        count <= len(_word_ends(phrase, len(phrase))) and sound == sound_key(letters(phrase))[:1]
        for phrase in phrases
    )


def without_name(hypothesis: Hypothesis, phrases: Sequence[str]) -> Hypothesis:
    """Return the hypothesis with the name taken off its text; the same if nothing changes."""
    if not phrases or not hypothesis.segments:
        return hypothesis
    first, *more = hypothesis.segments
    end = name_end(first.text, phrases)
    text = behind_name(first.text, end)
    if text == first.text:
        return hypothesis
    # The commands were compared with the name too, so that comparison does not count.
    rest = replace(first, text=text, phrases=None if end else first.phrases)
    return replace(hypothesis, segments=(rest, *more))


class Attention:
    """The window in which a sentence needs no name, in seconds of time.monotonic().

    Any thread may call it.
    """

    def __init__(self) -> None:
        """Start without a window."""
        self._window = (math.inf, -math.inf)

    def open(self, begin: float, end: float) -> None:
        """Open the window, or keep it open until `end`."""
        first, last = self._window
        self._window = (min(first, begin), max(last, end)) if begin <= last else (begin, end)

    def close(self) -> None:
        """Close the window."""
        self._window = (math.inf, -math.inf)

    def over(self, now: float) -> bool:
        """Return whether the window is not open at that moment any more."""
        return now > self._window[1]

    def covers(self, begin: float, end: float = math.inf) -> bool:
        """Return whether somebody who speaks from `begin` to `end` needs no name."""
        first, last = self._window
        return begin <= last and end > first

    def expects(self, utterance: Utterance) -> bool:
        """Return whether an utterance began in the window, so that it hardly has a name."""
        first, last = self._window
        return first < utterance.speech_start <= last

    def hears(self, utterance: Utterance, phrases: Sequence[str]) -> bool:
        """Return whether an utterance needs none of the phrases, if there are any."""
        return not phrases or self.covers(utterance.speech_start, utterance.speech_end)
