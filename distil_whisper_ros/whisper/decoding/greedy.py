"""Greedy decoding of a Whisper: the same tokens as transformers' generation, with less overhead.

The layers are those of `network.py`. Token probabilities are a by-product, for which transformers
would need a second pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import Any

import torch

from ...core.scheduler import JobContext
from ..attention import Attention, fused_attention
from ..special_tokens import SpecialTokens
from .cache import DecoderCache
from .fallback import should_stop
from .network import DecoderNetwork
from .types import DecodingOptions, DecodingResult

GIVE_UP_INTERVAL = 16  # tokens between two checks whether to give up


@dataclass
class Beginning:
    """What all ways to decode the same states begin with."""

    states: torch.Tensor
    """Encoder states, shape (batch, positions, d_model)."""
    cache: DecoderCache
    logits: torch.Tensor
    """Of the first token, shape (batch, vocabulary)."""
    no_speech: torch.Tensor
    """No-speech probabilities, shape (batch,)."""
    max_tokens: int
    """Maximum number of tokens of the text."""


class GreedyDecoder:
    """Decode greedily with the weights of a WhisperForConditionalGeneration."""

    def __init__(
        self,
        model: Any,
        special: SpecialTokens,
        heads: dict[int, list[int]],
        int8: bool = False,
        attention: Attention = fused_attention,
    ) -> None:
        """Take the weights of `model`; with `int8`, quantize its linear layers.

        `heads` are the alignment heads, as layer: heads.
        """
        self.network = DecoderNetwork(model, heads, int8, attention)
        self._special, self.end = special, special.end
        generation = model.generation_config
        size, device = model.config.vocab_size, self.network.device
        self._suppressed = suppression(generation.suppress_tokens, size, device)
        self._suppressed_first = suppression(generation.begin_suppress_tokens, size, device)

    def decode(
        self, states: torch.Tensor, options: DecodingOptions, context: JobContext
    ) -> list[DecodingResult]:
        """Decode encoder states of shape (batch, positions, d_model); raise JobAborted."""
        return self.decode_on(self.begin(states, options), options, context)

    def begin(self, states: torch.Tensor, options: DecodingOptions) -> Beginning:
        """Take encoder states of shape (batch, positions, d_model), and the tokens before."""
        start, max_tokens = self.start(options)
        cache = self.network.new_cache(states, len(start) + max_tokens)
        first = torch.tensor([start] * len(states), device=states.device)
        hidden = self.network.forward(first, cache, options.return_attention)
        no_speech = self.no_speech_probabilities(hidden, options)
        logits = self.network.logits(hidden[:, -1])
        return Beginning(states, cache, logits, no_speech, max_tokens)

    def decode_on(
        self, begun: Beginning, options: DecodingOptions, context: JobContext
    ) -> list[DecodingResult]:
        """Decode from the first token on; raise JobAborted. The cache is filled."""
        network, cache, max_tokens = self.network, begun.cache, begun.max_tokens
        logits = begun.logits
        tokens: list[torch.Tensor] = []
        scores: list[torch.Tensor] = []
        ended = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
        for index in range(max_tokens):
            context.check()
            chosen, scored = self.select(logits, first=not index)
            tokens.append(chosen)
            scores.append(scored)
            ended = ended | (chosen == self.end)
            if bool(ended.all()):
                break
            check = index % GIVE_UP_INTERVAL == GIVE_UP_INTERVAL - 1
            if check and self._all_stop(tokens, scores, options.give_up_early):
                break
            if index + 1 < max_tokens:
                hidden = network.forward(chosen[:, None], cache, options.return_attention)
                logits = network.logits(hidden[:, -1])
        ids, values = torch.stack(tokens, 1).tolist(), torch.stack(scores, 1).tolist()
        return self.results(cache, ids, values, begun.no_speech, options)

    # The steps of decoding, which the CUDA graph and speculative decoders combine differently

    def start(self, options: DecodingOptions) -> tuple[list[int], int]:
        """Return the tokens before the text, and the maximum number of tokens of the text."""
        start = [*options.prompt, *options.prefix]
        room = self.network.max_target_positions - len(start)
        return start, max(1, min(options.max_tokens, room))

    def no_speech_probabilities(
        self, hidden: torch.Tensor, options: DecodingOptions
    ) -> torch.Tensor:
        """Return the no-speech probabilities, shape (batch,).

        `hidden` are the hidden states of the start, shape (batch, tokens, d_model).
        """
        logits = self.network.logits(hidden[:, len(options.prompt)])
        return logits.softmax(-1)[:, self._special.no_speech]

    def select(
        self, logits: torch.Tensor, first: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the most likely tokens that are not suppressed, and their log probabilities.

        `logits` has the shape (rows, vocabulary), both results (rows,). `first` tells whether the
        token is the text's first one, for which more tokens are suppressed.
        """
        allowed = logits + self._suppressed
        if first:
            allowed = allowed + self._suppressed_first
        chosen = allowed.argmax(-1)
        return chosen, logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(-1)

    def candidates(
        self, logits: torch.Tensor, count: int, first: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log probabilities and ids of the `count` likeliest tokens, the likeliest first.

        As `select`, but both results have the shape (rows, count).
        """
        allowed = logits + self._suppressed
        if first:
            allowed = allowed + self._suppressed_first
        values, ids = allowed.topk(count)
        return values - logits.logsumexp(-1, keepdim=True), ids

    def log_probabilities(
        self, logits: torch.Tensor, tokens: list[int], first: bool = False
    ) -> list[float]:
        """Return the log probability of each token, minus infinity where it is suppressed.

        `logits` has the shape (vocabulary,); `first` is that of `select`.
        """
        allowed = logits + self._suppressed
        if first:
            allowed = allowed + self._suppressed_first
        return (allowed[tokens] - logits.logsumexp(-1)).tolist()

    def results(
        self,
        cache: DecoderCache,
        ids: list[list[int]],
        values: list[list[float]],
        no_speech: torch.Tensor,
        options: DecodingOptions,
    ) -> list[DecodingResult]:
        """Return a result for each row of the batch, up to its end token.

        `ids` and `values` are the tokens and log probabilities of each row.
        """
        begin = len(options.prompt) + len(options.prefix)
        attention = self.network.audio_attention(cache) if options.return_attention else None
        results = []
        for row, (row_ids, row_values) in enumerate(zip(ids, values)):
            count = row_ids.index(self.end) if self.end in row_ids else len(row_ids)
            row_attention = None
            if attention is not None:
                row_attention = attention[row, :, begin - 1 : begin + count]
                if row_attention.shape[1] <= count:
                    # Without an end token, the last row stands for the end of the text.
                    row_attention = torch.cat((row_attention, row_attention[:, -1:]), 1)
            results.append(
                DecodingResult(
                    row_ids[:count],
                    row_values[: count + 1],
                    float(no_speech[row]),
                    self.end in row_ids,
                    row_attention,
                )
            )
        return results

    def _all_stop(
        self, tokens: list[torch.Tensor], scores: list[torch.Tensor], give_up_early: bool
    ) -> bool:
        rows = zip(torch.stack(tokens, 1).tolist(), torch.stack(scores, 1).tolist())
        return all(should_stop(*row, self.end, give_up_early) for row in rows)


def suppression(tokens: Sequence[int] | None, size: int, device: torch.device) -> torch.Tensor:
    """Return a bias for logits, shape (size,), with which these tokens are never selected."""
    bias = torch.zeros(size, device=device)
    bias[list(tokens or ())] = -math.inf
    return bias
