"""Hotwords beside a beam search: a beam of texts that have one in the place of words like it.

A prompt tells the decoder that a rare word may come, but in a search its first token may be too
unlikely to stay. So the text that was found is read once more, and at the beginning of each word
a hotword may begin too. The tokens that spell it get a bonus (shallow fusion): each what lifts it
to the likeliest one there, and a word at most BONUS in all. Behind it the text goes on as it was.

A bonus can put words into a text that nobody said, so there are limits. The search for the text
is what it is without hotwords: in int8, a row more would change how all others are rounded. A
hotword takes the place of words that have letters in common with it, so that they may be the
word misheard; the text without it may be at most BONUS likelier, and less where those words were
hardly in doubt: "Play" is not "Clay". Each hotword comes once. The bonus is that of Zhao et al.,
"Shallow-Fusion End-to-End Contextual Biasing" (Interspeech 2019).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
import math

import torch

from ...core.scheduler import JobContext
from .greedy import Beginning, GreedyDecoder
from .hotwords import BONUS, DOUBT, Hotwords, is_similar, Node
from .types import DecodingOptions, DecodingResult

ROWS = 8  # tries that are followed at once
REPLACED = 10  # tokens in the place of which a hotword comes, at most
COMPARED = 2  # tokens behind a hotword that count too


@dataclass(frozen=True)
class _Try:
    """A hotword in the place of some words of a text."""

    begin: int
    """Number of the first token of the text that it replaces."""
    node: Node
    """Where it is in the hotwords."""
    tokens: tuple[int, ...]
    """Those of the hotword, and those of the text behind it."""
    total: float
    """Sum of their log probabilities."""
    bonus: float
    """What those of the hotword needed to be as likely as the likeliest ones."""
    row: int = 0
    """Row of the batch that predicted the last token."""
    length: int = 0
    """Number of tokens of the hotword; 0 before its end."""
    end: int = 0
    """Number of the token of the text that comes next, once the hotword has ended."""

    @property
    def hotword(self) -> tuple[int, ...]:
        """The tokens of the hotword, once it has ended."""
        return self.tokens[: self.length]

    @property
    def replaced(self) -> range:
        """The numbers of the tokens that it replaces, once it has ended."""
        return range(self.begin, self.end - len(self.tokens) + self.length)

    def then(self, token: int, score: float, row: int) -> '_Try':
        """Return the try with one more token, predicted by a row."""
        return replace(self, tokens=(*self.tokens, token), total=self.total + score, row=row)


class HotwordSearch:
    """Put hotwords into texts in which they were misheard."""

    def __init__(self, model: GreedyDecoder) -> None:
        """Use the layers of `model`."""
        self._model = model

    def search(
        self,
        found: DecodingResult,
        begun: Beginning,
        number: int,
        start: int,
        options: DecodingOptions,
        context: JobContext,
    ) -> DecodingResult:
        """Return a result with the hotwords that are likely enough; raise JobAborted.

        `number` is that of the text in the batch; `start` tokens are before it in the cache.
        """
        if options.hotwords is None or not (found.ended and found.tokens):
            return found
        text = [*found.tokens, self._model.end]
        reading = _Reading(self._model, begun, number, start, text)
        tokens = _replaced(text, _Search(reading, options.hotwords).likely(context))
        if tokens == text or start + len(tokens) > self._model.network.max_target_positions:
            return found
        again = _Reading(self._model, begun, number, start, tokens, options.return_attention)
        return replace(
            found,
            tokens=tokens[:-1],
            log_probabilities=again.own,
            attention=again.attention() if options.return_attention else None,
        )


class _Reading:
    """A text that the decoder reads, to know how likely its tokens are, and others there."""

    def __init__(
        self,
        model: GreedyDecoder,
        begun: Beginning,
        number: int,
        start: int,
        text: list[int],
        keep_queries: bool = False,
    ) -> None:
        """Read the tokens of a text, with the end token. See `HotwordSearch.search`."""
        self.text = text
        self._model, self._start = model, start
        self._cache = begun.cache.beginning(number, len(begun.logits), start)
        self._cache.pick([0], len(text))
        tokens = torch.tensor([text[:-1]], device=begun.logits.device)
        hidden = model.network.forward(tokens, self._cache, keep_queries)
        first = self._scored(begun.logits[number : number + 1], first=True)
        others = self._scored(model.network.logits(hidden[0]))
        self.scores, self.best = (torch.cat(each) for each in zip(first, others))
        """Log probabilities, shape (tokens, vocabulary), and those of the likeliest ones."""
        self.own: list[float] = self.scores[range(len(text)), text].tolist()
        """Log probabilities of the tokens."""

    def attention(self) -> torch.Tensor:
        """Return the attention to the audio, as in a DecodingResult; the queries were kept."""
        return self._model.network.audio_attention(self._cache)[0]

    def has_room(self, one: _Try) -> bool:
        """Return whether the decoder has a position for the last token of a try."""
        return self._position(one) < self._model.network.max_target_positions

    def predict(self, tries: list[_Try]) -> tuple[torch.Tensor, list[float]]:
        """Append the last token of each try; return what follows, as `scores` and `best`."""
        cache, device = self._cache, self.scores.device
        cache.pick([each.row for each in tries], 1)
        mask = cache.self_keys[0].new_zeros((len(tries), 1, 1, cache.length + 1))
        read = self._start + len(self.text) - 1
        for row, each in enumerate(tries):  # it does not see what it replaces
            mask[row, ..., self._start + each.begin : read] = -math.inf
        hidden = self._model.network.forward(
            torch.tensor([each.tokens[-1:] for each in tries], device=device),
            cache,
            False,
            torch.tensor([[self._position(each)] for each in tries], device=device),
            mask,
        )
        scores, best = self._scored(self._model.network.logits(hidden[:, -1]))
        return scores, best.tolist()

    def _position(self, one: _Try) -> int:
        return self._start + one.begin + len(one.tokens) - 1

    def _scored(
        self, logits: torch.Tensor, first: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        scores = logits - logits.logsumexp(-1, keepdim=True)
        return scores, self._model.candidates(logits, 1, first)[0][:, 0]


class _Search:
    """The search for hotwords that may be in a text."""

    def __init__(self, reading: _Reading, hotwords: Hotwords) -> None:
        self._reading, self._hotwords = reading, hotwords
        self._text = reading.text
        self._plain = f' {hotwords.plain(reading.text)} '
        self._spans: dict[int, list[tuple[int, str]]] = {}

    def likely(self, context: JobContext) -> list[_Try]:
        """Return the hotwords that are likely enough, the best first; raise JobAborted."""
        tries, done = [*self._begun()], []
        while tries := sorted(filter(self._reading.has_room, tries), key=lambda one: one.bonus):
            context.check()
            del tries[ROWS:]
            scores, best = self._reading.predict(tries)
            following = [
                each
                for row, one in enumerate(tries)
                for each in self._continued(one, row, scores[row], best[row])
            ]
            done += filter(self._is_done, following)
            tries = [each for each in following if not self._is_done(each)]
        return sorted((one for one in done if self._is_likely(one)), key=self._lost)

    def _begun(self) -> Iterator[_Try]:
        """Return each first token of a hotword, and where it may be."""
        nodes = self._hotwords.root.children
        first = [*nodes]
        scores = self._reading.scores[:, first]
        needed = self._reading.best[:, None] - scores
        for begin, number in (needed <= BONUS).nonzero().tolist():
            token = first[number]
            if any(map(partial(self._ends, begin), nodes[token].words())):
                score, bonus = float(scores[begin, number]), float(needed[begin, number])
                yield _Try(begin, nodes[token], (token,), score, bonus)

    def _continued(self, one: _Try, row: int, scores: torch.Tensor, best: float) -> Iterator[_Try]:
        """Return the tries that a try goes on with; `scores` and `best` are those of its row."""
        if one.length:
            token = self._text[one.end]
            yield replace(one.then(token, float(scores[token]), row), end=one.end + 1)
            return
        for token, node in one.node.children.items():
            score = float(scores[token])
            bonus = one.bonus + best - score
            if bonus <= BONUS:
                yield replace(one.then(token, score, row), node=node, bonus=bonus)
        for end in self._ends(one.begin, one.node.word) if one.node.word else ():
            token, length = self._text[end], len(one.tokens)
            score = float(scores[token])
            yield replace(one.then(token, score, row), length=length, end=end + 1)

    def _ends(self, begin: int, word: str) -> list[int]:
        """Return the tokens before which words end that may be a hotword misheard.

        The words begin with the token `begin`.
        """
        if f' {word} ' in self._plain:
            return []
        return [end for end, words in self._words(begin) if is_similar(words, word)]

    def _words(self, begin: int) -> list[tuple[int, str]]:
        """Return the words that begin with a token, each with the token before which they end."""
        text, inside = self._text, self._hotwords.inside
        if begin not in self._spans:
            last = begin if text[begin] in inside else min(begin + REPLACED, len(text) - 1)
            self._spans[begin] = [
                (end, self._hotwords.plain(text[begin:end]))
                for end in range(begin + 1, last + 1)
                if text[end] not in inside
            ]
        return self._spans[begin]

    def _is_done(self, one: _Try) -> bool:
        enough = len(one.tokens) == one.length + COMPARED
        return one.length > 0 and (enough or one.end == len(self._text))

    def _is_likely(self, one: _Try) -> bool:
        doubt = -sum(self._reading.own[number] for number in one.replaced)
        return self._lost(one) <= min(BONUS, DOUBT * doubt)

    def _lost(self, one: _Try) -> float:
        """Return by how many nats the text is likelier without the hotword."""
        return sum(self._reading.own[one.begin : one.end]) - one.total


def _replaced(text: list[int], tries: list[_Try]) -> list[int]:
    """Return a text with hotwords, the first ones where not all can be."""
    chosen: list[_Try] = []
    for one in tries:
        if not any(
            one.node.word == other.node.word or {*one.replaced} & {*other.replaced}
            for other in chosen
        ):
            chosen.append(one)
    tokens = [*text]
    for one in sorted(chosen, key=lambda each: each.begin, reverse=True):
        tokens[one.begin : one.replaced.stop] = one.hotword
    return tokens
