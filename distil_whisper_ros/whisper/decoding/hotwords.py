"""Hotwords in a beam search: the tokens that spell one get a bonus (shallow fusion).

A prompt tells the decoder that a rare word may come, but a greedy choice of its first token is
final. In a beam search the word stays among the candidates: a token that begins a hotword, or goes
on with it, adds to the score of its text. The log probabilities stay those of the model.

A bonus can put words into a text that nobody said, so it has limits. It lifts a token at most to
the likeliest one there, and a word by BONUS in all. A text that leaves the word before its end, or
goes on with more letters, loses what it got for it, and each word counts once in a text. A text
that has one twice, as a loop over the hotwords, is searched again without bonus. The way is that
of Zhao et al., "Shallow-Fusion End-to-End Contextual Biasing" (Interspeech 2019).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

# In nats, for a whole word. With 3 fewer names are right, with 8 texts loop over the hotwords:
# see "Rare words" in docs/measurements.md.
BONUS = 5.0


@dataclass
class _Node:
    """A place in a prefix tree of tokens."""

    children: dict[int, '_Node'] = field(default_factory=dict)
    ends: bool = False
    """Whether a hotword ends here."""


@dataclass(frozen=True)
class Place:
    """Where a text is in the hotwords."""

    node: _Node
    bonus: float = 0.0
    """What the text got for the hotword that it is in."""
    found: frozenset[int] = frozenset()
    """The hotwords that the text has already, by the ids of their nodes."""
    repeated: bool = False
    """Whether the text has a hotword twice."""


class Hotwords:
    """The tokens of hotwords as a prefix tree."""

    def __init__(self, forms: Iterable[Sequence[int]], inside: frozenset[int]) -> None:
        """Take the tokens of each form of each word, and the tokens that go on with a word."""
        self._inside = inside
        root = _Node()
        for form in forms:
            node = root
            for token in form:
                node = node.children.setdefault(token, _Node())
            node.ends = True
        self.start = Place(root)
        """The place of a text that is in no hotword."""

    def tokens(self, place: Place) -> set[int]:
        """Return the tokens that go on with a hotword, or begin one."""
        return {*place.node.children, *self.start.node.children}

    def follow(self, place: Place, token: int, behind: float) -> tuple[Place, float]:
        """Return the place after one more token, and what that adds to the score of the text.

        `behind` is by how many nats the token is less likely than the likeliest one there.
        """
        found, repeated = place.found, place.repeated
        child = place.node.children.get(token)
        if child is not None:
            if child.ends and id(child) in found:
                return Place(child, 0.0, found, True), -place.bonus
            bonus = min(BONUS - place.bonus, behind)
            return Place(child, place.bonus + bonus, found, repeated), bonus
        lost = place.bonus
        if place.node.ends and token not in self._inside:
            lost, found = 0.0, found | {id(place.node)}
        child = self.start.node.children.get(token)
        if child is not None:
            bonus = min(BONUS, behind)
            return Place(child, bonus, found, repeated), bonus - lost
        return Place(self.start.node, 0.0, found, repeated), -lost
