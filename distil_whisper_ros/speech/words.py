"""The words of a text."""

from itertools import groupby
import re
import unicodedata

from ..core.scripts import is_dense

CHARACTERS_OF_A_WORD = 2  # on average, in Chinese, Japanese and Korean
LETTERS_OF_A_WORD = 4  # on average, in Thai, Lao, Burmese and Khmer, without marks


def words(text: str) -> list[str]:
    """Return the words of a text; in a script without spaces, as many characters as a word has."""
    found = [''.join(part) for inside, part in groupby(text, _in_word) if inside]
    return [part for word in found for part in _parts(word)]


def _in_word(character: str) -> bool:
    # The vowels of Indian scripts are marks.
    return (
        character.isalnum()
        or character in "_'’"
        or unicodedata.category(character).startswith('M')
    )


def _parts(word: str) -> list[str]:
    if any('\u3040' <= c <= '\u9fff' or '\uac00' <= c <= '\ud7af' for c in word):
        return re.findall(f'.{{1,{CHARACTERS_OF_A_WORD}}}', word)
    if not any(is_dense(c) for c in word):
        return [word]
    parts, letters = [''], 0
    for character in word:
        mark = unicodedata.category(character).startswith('M')
        if not mark and letters == LETTERS_OF_A_WORD:
            parts.append('')
            letters = 0
        parts[-1] += character
        letters += not mark
    return parts
