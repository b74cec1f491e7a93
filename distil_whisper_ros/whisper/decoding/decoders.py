"""Which way of decoding is used: the fastest one that can do what is asked, and works here."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch

from ...core.scheduler import JobContext
from ..device import free_memory
from ..model_loading import first_line
from ..threads import one_thread
from .beam import BeamDecoder
from .cuda_graph import CudaGraphDecoder
from .fallback import BEAM_WIDTH_IN_DOUBT, is_better, is_doubtful, is_doubtful_token
from .greedy import GreedyDecoder
from .network import DecoderNetwork
from .speculative import SpeculativeDecoder
from .transformers_generate import TransformersDecoder
from .types import DecodingOptions, DecodingResult


class Decoders:
    """The ways of decoding that one Whisper has here."""

    def __init__(
        self,
        transformers: TransformersDecoder,
        tokenizer: Any,
        int8: bool,
        on_notice: Callable[[str], None],
    ) -> None:
        """Decode with `transformers`, until others are set, which have int8 weights or not.

        `on_notice` is called with a sentence if one of them does not work.
        """
        self._int8 = int8
        self.transformers = transformers
        self.greedy: GreedyDecoder | None = None
        self.beam: BeamDecoder | None = None
        self.speculative: SpeculativeDecoder | None = None
        self.cuda_graph: CudaGraphDecoder | None = None
        self._tokenizer = tokenizer
        self._on_notice = on_notice

    @property
    def networks(self) -> list[DecoderNetwork]:
        """The networks that they use: that of the model, and that of an assistant."""
        decoders = [self.greedy, self.speculative and self.speculative.assistant]
        return [each.network for each in decoders if each is not None]

    def decode(
        self, states: torch.Tensor, options: DecodingOptions, context: JobContext
    ) -> list[DecodingResult]:
        """Decode encoder states with the fastest decoder that can do it; raise JobAborted.

        `states` has the shape (batch, positions, d_model); there is a result for each row.
        """
        if options.beam_width == 0:
            return self._search_or_not(states, options, context)
        if self.greedy is None or (options.beam_width > 1 and self.beam is None):
            return self.transformers.decode(states, options, context)
        with one_thread() if self._int8 else nullcontext():
            return self._decode_fast(self.greedy, states, options, context)

    def _decode_fast(
        self,
        greedy: GreedyDecoder,
        states: torch.Tensor,
        options: DecodingOptions,
        context: JobContext,
    ) -> list[DecodingResult]:
        """Decode with the layers of this project."""
        if options.beam_width > 1 and self.beam is not None:
            return self.beam.decode(states, options, context)
        if self.speculative is not None and len(states) == 1:
            return self.speculative.decode(states, options, context)
        if self.cuda_graph is not None and len(states) == 1:
            try:
                return self.cuda_graph.decode(states, options, context)
            except RuntimeError as error:
                reason = first_line(error)
            # Behind the handler, so that the memory of the graph is free for the next try.
            self.cuda_graph = None
            free_memory(states.device)
            self._on_notice(
                f'decoding with a CUDA graph failed ({reason}): it is switched off, and decoding '
                'is slower'
            )
        return greedy.decode(states, options, context)

    def _search_or_not(
        self, states: torch.Tensor, options: DecodingOptions, context: JobContext
    ) -> list[DecodingResult]:
        """Decode greedily, and search what is in doubt, if there is the memory for it."""
        try:
            return self._decode_and_search(states, options, context)
        except RuntimeError as error:
            reason = first_line(error)
        free_memory(states.device)
        greedy = self.decode(states, replace(options, beam_width=1), context)
        self._on_notice(f'a beam search failed ({reason}): the text is that of greedy decoding')
        return greedy

    def _decode_and_search(
        self, states: torch.Tensor, options: DecodingOptions, context: JobContext
    ) -> list[DecodingResult]:
        """Decode greedily, and the texts that are in doubt with a beam search too."""
        one, wide = (replace(options, beam_width=width) for width in (1, BEAM_WIDTH_IN_DOUBT))
        alone = len(states) == 1 and self.speculative is None and self.cuda_graph is None
        if alone and self.greedy is not None and self.beam is not None:
            with one_thread() if self._int8 else nullcontext():
                return [self._search_one(self.greedy, self.beam, states, one, wide, context)]
        results = self.decode(states, one, context)
        doubtful = [
            row
            for row, result in enumerate(results)
            if is_doubtful(result.tokens, result.log_probabilities, result.ended)
        ]
        if doubtful:
            for row, result in zip(doubtful, self.decode(states[doubtful], wide, context)):
                results[row] = self._better(result, results[row])
        return results

    def _search_one(
        self,
        greedy: GreedyDecoder,
        beam: BeamDecoder,
        states: torch.Tensor,
        one: DecodingOptions,
        wide: DecodingOptions,
        context: JobContext,
    ) -> DecodingResult:
        """Decode a single text, without computing twice what both ways have in common.

        The first token is the doubtful one nearly always, and then both ways run at once.
        """
        begun, searched = greedy.begin(states, one), None
        _, first = greedy.select(begun.logits, first=True)
        if is_doubtful_token(float(first)):
            ((searched, result),) = beam.decode_beside_greedy(begun, wide, context)
        else:
            again = replace(begun, cache=begun.cache.copy())
            (result,) = greedy.decode_on(again, one, context)
        if not is_doubtful(result.tokens, result.log_probabilities, result.ended):
            return result
        if searched is None:
            (searched,) = beam.decode_on(begun, wide, context)
        return self._better(searched, result)

    def _better(self, searched: DecodingResult, greedy: DecodingResult) -> DecodingResult:
        """Return the better one of both results of a text."""
        better = is_better(self._text(searched.tokens), searched.ended, self._text(greedy.tokens))
        return replace(searched if better else greedy, searched=True)

    def _text(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode(tokens, skip_special_tokens=True)
