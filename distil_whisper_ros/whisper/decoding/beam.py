"""Beam search: the same texts as transformers' `generate(num_beams=...)`, in a part of its time.

It is the search of transformers: candidates are ordered by the sum of the log probabilities of
their tokens; as many of the best as there are beams may end; an ended text is scored by its mean;
and the search is over when all places for ended texts are taken, and no beam has a better mean
than the worst of them. Hotwords come into the text that it finds: see `hotword_search.py`.

The layers are those of greedy decoding. The beams of a text share the keys and values of its
audio, and attend to them in one product; the start of the text is computed once; the rows of the
decoder cache are reordered only where a beam has left its place. Greedy decoding can run beside
the search, as one row more: that costs less than to run it before.
"""

from dataclasses import dataclass
from typing import Any

import torch

from ...core.scheduler import JobContext
from .cache import DecoderCache
from .fallback import should_stop
from .greedy import Beginning, GIVE_UP_INTERVAL, GreedyDecoder
from .hotword_search import HotwordSearch
from .types import DecodingOptions, DecodingResult


@dataclass(frozen=True)
class _Step:
    """The last token of a text, and the way to the tokens before it."""

    token: int
    log_probability: float
    total: float
    """Sum of the log probabilities of all its tokens."""
    row: int
    """Row of the batch whose hidden state predicted the token."""
    before: '_Step | None'

    def path(self) -> 'list[_Step]':
        """Return the steps from the first token to this one."""
        steps: list[_Step] = [self]
        while steps[-1].before is not None:
            steps.append(steps[-1].before)
        return steps[::-1]


@dataclass
class _Search:
    """The search for one text."""

    running: list[_Step]
    """The unfinished texts, the best first."""
    finished: list[tuple[float, _Step]]
    """The finished texts and their scores, the best first."""
    over: bool = False
    greedy: _Step | None = None
    """The last token of greedy decoding, where that runs beside the search."""
    greedy_over: bool = True

    def best(self) -> _Step:
        """Return the text that was found."""
        return self.finished[0][1] if self.finished else self.running[0]


class BeamDecoder:
    """Decode with a beam search, on the layers of a GreedyDecoder."""

    def __init__(self, model: GreedyDecoder, generation: Any) -> None:
        """Use the layers of `model`, and the length penalty of a generation config."""
        self._model = model
        self._hotwords = HotwordSearch(model)
        penalty = getattr(generation, 'length_penalty', None)
        self._length_penalty = 1.0 if penalty is None else float(penalty)

    @staticmethod
    def supports(generation: Any) -> bool:
        """Return whether a generation config asks for the search that is implemented here."""
        groups = getattr(generation, 'num_beam_groups', None) or 1
        return not getattr(generation, 'early_stopping', False) and groups == 1

    def decode(
        self, states: torch.Tensor, options: DecodingOptions, context: JobContext
    ) -> list[DecodingResult]:
        """Decode encoder states of shape (batch, positions, d_model); raise JobAborted."""
        return self.decode_on(self._model.begin(states, options), options, context)

    def decode_on(
        self, begun: Beginning, options: DecodingOptions, context: JobContext
    ) -> list[DecodingResult]:
        """Decode from the first token on; raise JobAborted. The cache is filled."""
        return [found for found, _ in self._decode(begun, options, context, beside=0)]

    def decode_beside_greedy(
        self, begun: Beginning, options: DecodingOptions, context: JobContext
    ) -> list[tuple[DecodingResult, DecodingResult]]:
        """Decode with a beam search and greedily at once; return both results of each text."""
        return self._decode(begun, options, context, beside=1)

    def _decode(
        self, begun: Beginning, options: DecodingOptions, context: JobContext, beside: int
    ) -> list[tuple[DecodingResult, DecodingResult]]:
        """Decode with `beside` rows for greedy decoding, 0 or 1; without, its result is no use."""
        network, cache, logits = self._model.network, begun.cache, begun.logits
        rows_each = options.beam_width + beside
        searches = [_Search([], [], greedy_over=not beside) for _ in range(len(logits))]
        start = cache.length
        for index in range(begun.max_tokens):
            context.check()
            self._step(searches, logits, index, index + 1 == begun.max_tokens, options)
            if index % GIVE_UP_INTERVAL == GIVE_UP_INTERVAL - 1:
                self._stop(searches, options.give_up_early)
            if all(search.over and search.greedy_over for search in searches):
                break
            ends = [[*search.running, search.greedy][:rows_each] for search in searches]
            steps = [step for each in ends for step in each if step is not None]
            if not index:
                cache.repeat(rows_each)
            else:
                cache.reorder([step.row for step in steps])
            chosen = torch.tensor([[step.token] for step in steps], device=logits.device)
            hidden = network.forward(chosen, cache, options.return_attention)
            logits = network.logits(hidden[:, -1])
        results = []
        for number, search in enumerate(searches):
            found, greedy = self._results(search, begun, number, options)
            found = self._hotwords.search(found, begun, number, start, options, context)
            results.append((found, greedy))
        return results

    def _step(
        self,
        searches: list[_Search],
        logits: torch.Tensor,
        index: int,
        last: bool,
        options: DecodingOptions,
    ) -> None:
        """Add the token number `index` to all texts; with `last` they end there.

        `logits` has the same number of rows for each search, that of greedy decoding at the end.
        """
        width = options.beam_width
        found = self._model.candidates(logits, 2 * width, first=not index)
        scores, ids = (each.tolist() for each in found)
        rows_each = len(logits) // len(searches)
        for number, search in enumerate(searches):
            if not search.greedy_over:
                row = (number + 1) * rows_each - 1
                score, token = scores[row][0], ids[row][0]
                search.greedy = _next(search.greedy, row, token, score)
                search.greedy_over = last or token == self._model.end
        for number, search in enumerate(searches):
            if not search.over:
                steps = _continued(search, number * rows_each, scores, ids, width)
                self._advance(search, steps, width, index + 1, last)

    def _results(
        self,
        search: _Search,
        begun: Beginning,
        number: int,
        options: DecodingOptions,
    ) -> tuple[DecodingResult, DecodingResult]:
        """Return the results of the search and of greedy decoding; see `_decode`."""
        best, greedy = search.best(), search.greedy
        no_speech = float(begun.no_speech[number])
        found = self._result(best, begun.cache, number, no_speech, options)
        other = greedy and self._result(greedy, begun.cache, number, no_speech, options)
        return found, other or found

    def _advance(
        self, search: _Search, steps: list[_Step], width: int, length: int, last: bool
    ) -> None:
        """Let texts end and others go on; `steps` are the likeliest ones, the best first.

        `length` is their number of tokens; with `last` all of them end there.
        """
        ends = [last or step.token == self._model.end for step in steps]
        # What ends behind the first `width` would be dropped with a wider beam too.
        search.finished += [
            (self._score(step, length), step) for step, end in zip(steps[:width], ends) if end
        ]
        search.finished.sort(key=lambda each: each[0], reverse=True)
        del search.finished[width:]
        if last:
            search.over = True
            return
        search.running = [step for step, end in zip(steps, ends) if not end][:width]
        full = len(search.finished) == width
        best = self._score(search.running[0], length)
        search.over = full and best <= search.finished[-1][0]

    def _score(self, step: _Step, length: int) -> float:
        return step.total / length**self._length_penalty

    def _stop(self, searches: list[_Search], give_up_early: bool) -> None:
        """End searches whose best text loops, or may be given up."""
        for search in searches:
            search.over = search.over or self._fails(search.running[0], give_up_early)
            if not search.greedy_over and search.greedy is not None:
                search.greedy_over = self._fails(search.greedy, give_up_early)

    def _fails(self, text: _Step, give_up_early: bool) -> bool:
        path = text.path()
        tokens = [step.token for step in path]
        scores = [step.log_probability for step in path]
        return should_stop(tokens, scores, self._model.end, give_up_early)

    def _result(
        self,
        best: _Step,
        cache: DecoderCache,
        number: int,
        no_speech: float,
        options: DecodingOptions,
    ) -> DecodingResult:
        """Return a text as a result; `number` is its row in the batch."""
        path = best.path()
        ended = best.token == self._model.end
        tokens = [step.token for step in path]
        attention = None
        if options.return_attention:
            rows = [step.row for step in path]
            attention = self._model.network.attention_of(cache, number, rows)
            if not ended:  # the last row stands for the end of the text
                attention = torch.cat((attention, attention[:, -1:]), 1)
        return DecodingResult(
            tokens[:-1] if ended else tokens,
            [step.log_probability for step in path],
            no_speech,
            ended,
            attention,
        )


def _continued(
    search: _Search,
    first_row: int,
    scores: list[list[float]],
    ids: list[list[int]],
    width: int,
) -> list[_Step]:
    """Return the 2 `width` best continuations of a search, the best first.

    `scores` and `ids` are those of all rows of the batch, in which the search has `first_row` and
    those behind it.
    """
    if not search.running:  # the first token
        steps = [
            _next(None, first_row, token, score)
            for score, token in zip(scores[first_row], ids[first_row])
        ]
    else:
        steps = [
            _next(step, row, token, score)
            for row, step in enumerate(search.running, first_row)
            for score, token in zip(scores[row], ids[row])
        ]
    steps.sort(key=lambda step: step.total, reverse=True)
    return steps[: 2 * width]


def _next(before: _Step | None, row: int, token: int, score: float) -> _Step:
    """Return a text with one more token, of log probability `score`."""
    total = before.total if before else 0.0
    return _Step(token, score, total + score, row, before)
