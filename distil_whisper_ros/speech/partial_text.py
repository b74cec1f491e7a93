"""Which words of a growing text are settled: local agreement of successive hypotheses.

A word is settled once two successive hypotheses have it at the same place: Liu et al.,
"Low-Latency Sequence-to-Sequence Speech Recognition and Translation by Partial Hypothesis
Selection", Interspeech 2020, with n = 2. In a script without spaces between words, each character
counts as a word.
"""

import re
import unicodedata

from ..core.scripts import is_dense
from .words import words


class LocalAgreement:
    """Takes hypotheses of the same utterance as it grows; returns the text that is settled."""

    def __init__(self) -> None:
        self._settled: list[str] = []
        """Words, each with the space before it, if there is one."""
        self._last: list[str] = []

    def push(self, text: str) -> str:
        """Take the next hypothesis, of audio that may end within a word."""
        now = _pieces(text)
        for new, old in zip(now[len(self._settled) :], self._last[len(self._settled) :]):
            if words(new.casefold()) != words(old.casefold()):
                break
            self._settled.append(new)
        self._last = now
        return ''.join(self._settled).strip()

    def settle(self, text: str) -> str:
        """Take a hypothesis of audio that ends in a pause: no word of it is cut off."""
        now = _pieces(text)
        self._settled += now[len(self._settled) :]
        self._last = now
        return ''.join(self._settled).strip()


def _pieces(text: str) -> list[str]:
    """Return the words of a text, each with the space before it, or its dense characters."""
    pieces: list[str] = []
    for word in re.findall(r'\s*\S+', text):
        before = ''
        for character in re.sub(r'\s+', ' ', word):
            apart = is_dense(character) or (before and is_dense(before))
            mark = unicodedata.category(character).startswith('M')
            if not before or (apart and not mark and before != ' '):
                pieces.append(character)
            else:
                pieces[-1] += character
            before = character
    return pieces
