"""The prefix trees of the latest lists of commands.

The tree of 5,000 commands takes a while, so it can be made before the first utterance.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .decoding.phrases import PhraseTree
from .written_forms import ENDS, stems, written_forms

TREES = 4  # lists of commands that are kept
AT_ONCE = 200  # commands between two calls of `between`


class PhraseTrees:
    """Make the tree of a list of commands, and keep it."""

    def __init__(self, tokenizer: Any) -> None:
        """Take the tokenizer of the model."""
        self._tokenizer = tokenizer
        self._trees: dict[tuple[str, ...], PhraseTree] = {}
        self._ends = self._tokens([*ENDS])

    def of(self, wordings: tuple[str, ...], between: Callable[[], None]) -> PhraseTree:
        """Return the tree of the commands' tokens; `between` is called now and then."""
        tree = self._trees.pop(wordings, None)
        if tree is None:
            tree = PhraseTree()
            for first in range(0, len(wordings), AT_ONCE):
                self._add(tree, first, wordings[first : first + AT_ONCE])
                between()
        self._trees[wordings] = tree
        if len(self._trees) > TREES:
            del self._trees[next(iter(self._trees))]
        return tree

    def _add(self, tree: PhraseTree, first: int, wordings: Sequence[str]) -> None:
        # Whisper's tokenizer divides a text between a letter and punctuation before all else, so
        # the tokens of the ends are the same behind each form, and each form is read once.
        phrases = [*enumerate(wordings, first)]
        forms = [
            (phrase, stem) for phrase, each in phrases if _divides(each) for stem in stems(each)
        ]
        for (phrase, _), tokens in zip(forms, self._tokens([stem for _, stem in forms])):
            tree.add(phrase, tokens, self._ends)
        for phrase, each in phrases:
            for tokens in self._tokens([] if _divides(each) else written_forms(each)):
                tree.add(phrase, tokens)

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        return self._tokenizer(texts, add_special_tokens=False).input_ids if texts else []


def _divides(wording: str) -> bool:
    return wording[-1:].isalnum()
