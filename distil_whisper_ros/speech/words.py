"""The words of a text."""

import re


def words(text: str) -> list[str]:
    """Return the words of a text; two characters of a script without spaces are a word."""
    found = re.findall(r"[\w'’]+", text)
    return [
        part for word in found for part in (re.findall('..?', word) if _dense(word) else [word])
    ]


def _dense(word: str) -> bool:
    return any('\u3040' <= c <= '\u9fff' or '\uac00' <= c <= '\ud7af' for c in word)
