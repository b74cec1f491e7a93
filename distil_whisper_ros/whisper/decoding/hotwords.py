"""The tokens that spell hotwords, and the words that one may be mistaken for."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
import re

# Where they come from is in docs/measurements.md, "Rare words".
BONUS = 5.0  # nats, for a whole word
DOUBT = 2.5  # times the words in its place are less than certain, in nats: a bonus at most
SIMILAR = 0.6  # share of letters that a hotword and the words in its place have in common


@dataclass
class Node:
    """A place in a prefix tree of tokens."""

    children: dict[int, 'Node'] = field(default_factory=dict)
    word: str = ''
    """The hotword that ends here, as it is compared, or ''."""

    def words(self) -> Iterator[str]:
        """Return the hotwords that end here or behind."""
        if self.word:
            yield self.word
        for child in self.children.values():
            yield from child.words()


class Hotwords:
    """The tokens of hotwords as a prefix tree."""

    def __init__(
        self,
        forms: Iterable[Sequence[int]],
        inside: frozenset[int],
        text: Callable[[Sequence[int]], str],
    ) -> None:
        """Take the tokens of each form of each word, and the tokens that go on with a word.

        `text` is called with tokens, and returns their text.
        """
        self.inside = inside
        self.root = Node()
        self._text = text
        for form in forms:
            node = self.root
            for token in form:
                node = node.children.setdefault(token, Node())
            node.word = self.plain(form)

    def plain(self, tokens: Sequence[int]) -> str:
        """Return tokens as text to be compared: words in small letters, a space between them."""
        return ' '.join(re.findall(r'\w+', self._text(tokens).casefold()))


def is_similar(words: str, hotword: str) -> bool:
    """Return whether plain words have so many letters of a hotword that it may be misheard."""
    matcher = SequenceMatcher(None, words.replace(' ', ''), hotword.replace(' ', ''), False)
    return matcher.real_quick_ratio() >= SIMILAR and matcher.ratio() >= SIMILAR
