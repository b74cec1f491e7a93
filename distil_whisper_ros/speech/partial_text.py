"""Which words of a growing text are settled: local agreement of successive hypotheses.

A word is settled once two successive hypotheses have it at the same place: Liu et al.,
"Low-Latency Sequence-to-Sequence Speech Recognition and Translation by Partial Hypothesis
Selection", Interspeech 2020, with n = 2.
"""

from .words import words


class LocalAgreement:
    """Takes hypotheses of the same utterance as it grows; returns the text that is settled."""

    def __init__(self) -> None:
        self._settled: list[str] = []
        self._last: list[str] = []

    def push(self, text: str) -> str:
        """Take the next hypothesis, of audio that may end within a word."""
        now = text.split()
        for new, old in zip(now[len(self._settled) :], self._last[len(self._settled) :]):
            if words(new.casefold()) != words(old.casefold()):
                break
            self._settled.append(new)
        self._last = now
        return ' '.join(self._settled)

    def settle(self, text: str) -> str:
        """Take a hypothesis of audio that ends in a pause: no word of it is cut off."""
        now = text.split()
        self._settled += now[len(self._settled) :]
        self._last = now
        return ' '.join(self._settled)
