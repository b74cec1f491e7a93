"""Scripts written without spaces between words: Chinese, Japanese, Thai, Lao, Burmese, Khmer.

The characters decide, not the language: a translation into English has spaces, also where the
speech was Japanese, and an English name within a Chinese text keeps its own.
"""

from collections.abc import Iterable
import re
import unicodedata

# First and last code points.
DENSE = (
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x312F),  # radicals, punctuation, kana, bopomofo
    (0x31F0, 0x9FFF),  # kana, Chinese characters
    (0xAA60, 0xAA7F),  # Burmese
    (0xF900, 0xFAFF),  # Chinese characters
    (0xFF00, 0xFF9F),  # punctuation of full width, kana of half width
    (0x20000, 0x3FFFF),  # rare Chinese characters
)

WIDE_SPACE = re.compile(r'(?<=[\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f]) +')


def is_dense(character: str) -> bool:
    """Return whether a character belongs to a script without spaces between words."""
    code = ord(character)
    return code >= DENSE[0][0] and any(first <= code <= last for first, last in DENSE)


def join_texts(texts: Iterable[str]) -> str:
    """Return the texts joined by spaces, but for places between two dense characters."""
    joined = ''
    for text in texts:
        if joined and text and not (is_dense(joined[-1]) and is_dense(text[0])):
            joined += ' '
        joined += text
    return joined


def without_wide_spaces(text: str) -> str:
    """Return a text without spaces behind punctuation of full width, which has its own.

    Whisper may write them between Chinese sentences. In Thai a space ends a sentence, and stays.
    """
    return WIDE_SPACE.sub('', text)


def width(text: str) -> int:
    """Return the columns that a text takes: 2 for a wide character, 0 for a combining mark."""
    wide = sum(unicodedata.east_asian_width(each) in 'WF' for each in text)
    marks = sum(unicodedata.category(each) in ('Mn', 'Me') for each in text)
    return len(text) + wide - marks
