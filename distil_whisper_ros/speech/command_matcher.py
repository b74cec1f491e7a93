"""Mapping a text to one of the commands that a robot knows."""

from collections.abc import Iterable
from difflib import SequenceMatcher

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

    The similarity is Ratcliff and Obershelp's: twice the characters in common over all characters.
    """
    said = plain(text)
    scores = [
        (SequenceMatcher(None, said, plain(command), autojunk=False).ratio(), command)
        for command in commands
        if plain(command)
    ]
    score, command = max(scores, key=lambda pair: pair[0], default=(0.0, ''))
    return command, score
