"""From a text to the most similar of the commands that a robot knows."""

from collections.abc import Iterable

from rapidfuzz.distance import Indel

from .words import words

ONES = (
    'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen '
    'fifteen sixteen seventeen eighteen nineteen'
).split()
TENS = 'twenty thirty forty fifty sixty seventy eighty ninety'.split()


def spell(number: str) -> str:
    """Return a whole number from 0 to 99 in English words; anything else as it is."""
    if not number.isdecimal() or int(number) > 99:
        return number
    tens, ones = divmod(int(number), 10)
    if tens < 2:
        return ONES[int(number)]
    return TENS[tens - 2] + (f' {ONES[ones]}' if ones else '')


def plain(text: str) -> str:
    """Return a text without case and punctuation, its numbers in words."""
    return ' '.join(spell(word) for word in words(text.casefold()))


def match(text: str, commands: Iterable[str]) -> tuple[str, float]:
    """Return the command that is most similar to the text, and how similar, from 0 to 1.

    The similarity is twice the length of the longest common subsequence of characters, over the
    characters of both (rapidfuzz's normalized Indel similarity).
    """
    said = plain(text)
    scores = [
        (Indel.normalized_similarity(said, plain(command)), command)
        for command in commands
        if plain(command)
    ]
    score, command = max(scores, key=lambda pair: pair[0], default=(0.0, ''))
    return command, score
