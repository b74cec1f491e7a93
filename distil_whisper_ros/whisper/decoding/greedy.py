"""Greedy decoding of a Whisper: the same tokens as transformers' generation, with less overhead.

For one token at a time the arithmetic is small, and most of `model.generate` is overhead. Here
the queries, keys and values are one product, the keys and values of the audio are computed once,
the decoder cache is allocated once, and on a CPU every product, including the vocabulary's, can
run in dynamic int8. Token probabilities and the attention to the audio are by-products, for which
transformers would need a second pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import Any

import torch

from ...core.scheduler import JobContext
from ..attention import Attention, causal_mask, fused_attention, Heads
from ..quantization import fused_linear
from ..special_tokens import SpecialTokens
from .fallback import should_stop
from .types import DecodingOptions, DecodingResult

GIVE_UP_INTERVAL = 16  # tokens between two checks whether to give up
FEW_ROWS = 8  # up to which a CPU multiplies faster with the vocabulary's weight on the left


class _Layer:
    """One layer of the decoder."""

    def __init__(self, layer: Any, int8: bool) -> None:
        own, cross = layer.self_attn, layer.encoder_attn
        self.heads = Heads(own)
        self.self_qkv = fused_linear((own.q_proj, own.k_proj, own.v_proj), int8)
        self.self_out = fused_linear((own.out_proj,), int8)
        self.cross_query = fused_linear((cross.q_proj,), int8)
        self.cross_key_value = fused_linear((cross.k_proj, cross.v_proj), int8)
        self.cross_out = fused_linear((cross.out_proj,), int8)
        self.fc1, self.fc2 = fused_linear((layer.fc1,), int8), fused_linear((layer.fc2,), int8)
        self.self_norm = layer.self_attn_layer_norm
        self.cross_norm = layer.encoder_attn_layer_norm
        self.final_norm = layer.final_layer_norm
        self.activation = layer.activation_fn


@dataclass
class DecoderCache:
    """The keys and values that decoding keeps from token to token, by layer."""

    self_keys: list[torch.Tensor]
    """Of the tokens, shape (batch, heads, maximum length, width)."""
    self_values: list[torch.Tensor]
    cross: list[tuple[torch.Tensor, torch.Tensor]]
    """Keys and values of the audio, shape (batch, heads, positions, width)."""
    cross_queries: list[list[torch.Tensor]]
    """Queries of the alignment heads at each step, shape (batch, heads, tokens, width)."""
    length: int = 0
    """Number of tokens in it."""

    def repeat(self, count: int) -> None:
        """Make `count` rows of each, for beams, which share the keys and values of the audio."""
        self.self_keys = [each.repeat_interleave(count, 0) for each in self.self_keys]
        self.self_values = [each.repeat_interleave(count, 0) for each in self.self_values]

    def reorder(self, rows: list[int]) -> None:
        """Let each row continue the text of another one: `rows` are their numbers."""
        moved = [row for row, other in enumerate(rows) if row != other]
        if not moved:
            return
        others = [rows[row] for row in moved]
        for each in (*self.self_keys, *self.self_values):
            each[moved, :, : self.length] = each[others, :, : self.length]


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
        self.attention = attention
        decoder = model.get_decoder()
        self._special, self.end = special, special.end
        self._embeddings, self._positions = decoder.embed_tokens, decoder.embed_positions.weight
        self.layers = [_Layer(layer, int8) for layer in decoder.layers]
        self.norm = decoder.layer_norm
        self._vocabulary = fused_linear((model.proj_out,), int8)
        on_cpu = self._positions.device.type == 'cpu'
        self._vocabulary_weight = model.proj_out.weight.detach() if on_cpu and not int8 else None
        self.alignment_heads = heads
        self.max_target_positions = model.config.max_target_positions
        self.max_source_positions = model.config.max_source_positions
        generation = model.generation_config
        size, device = model.config.vocab_size, self._positions.device
        self._suppressed = suppression(generation.suppress_tokens, size, device)
        self._suppressed_first = suppression(generation.begin_suppress_tokens, size, device)

    @staticmethod
    def supports(model: Any) -> bool:
        """Return whether the model has the architecture that this decoder implements."""
        decoder = model.get_decoder()
        scaled = getattr(model.config, 'scale_embedding', False)
        return type(model).__name__ == 'WhisperForConditionalGeneration' and not (
            scaled or hasattr(decoder, 'project_in') or hasattr(decoder, 'adapter')
        )

    def decode(
        self, states: torch.Tensor, options: DecodingOptions, context: JobContext
    ) -> list[DecodingResult]:
        """Decode encoder states of shape (batch, positions, d_model); raise JobAborted."""
        start, max_tokens = self.start(options)
        cache = self.new_cache(states, len(start) + max_tokens)
        first = torch.tensor([start] * len(states), device=states.device)
        hidden = self.forward(first, cache, options.return_attention)
        no_speech = self.no_speech_probabilities(hidden, options)
        tokens: list[torch.Tensor] = []
        scores: list[torch.Tensor] = []
        ended = torch.zeros(len(states), dtype=torch.bool, device=states.device)
        for index in range(max_tokens):
            context.check()
            chosen, scored = self.select(self.logits(hidden[:, -1]), first=not index)
            tokens.append(chosen)
            scores.append(scored)
            ended = ended | (chosen == self.end)
            if bool(ended.all()):
                break
            check = index % GIVE_UP_INTERVAL == GIVE_UP_INTERVAL - 1
            if check and self._all_stop(tokens, scores, options.give_up_early):
                break
            if index + 1 < max_tokens:
                hidden = self.forward(chosen[:, None], cache, options.return_attention)
        ids, values = torch.stack(tokens, 1).tolist(), torch.stack(scores, 1).tolist()
        return self.results(cache, ids, values, no_speech, options)

    # The steps of decoding, which the CUDA graph and speculative decoders combine differently

    def start(self, options: DecodingOptions) -> tuple[list[int], int]:
        """Return the tokens before the text, and the maximum number of tokens of the text."""
        start = [*options.prompt, *options.prefix]
        return start, max(1, min(options.max_tokens, self.max_target_positions - len(start)))

    def no_speech_probabilities(
        self, hidden: torch.Tensor, options: DecodingOptions
    ) -> torch.Tensor:
        """Return the no-speech probabilities, shape (batch,).

        `hidden` are the hidden states of the start, shape (batch, tokens, d_model).
        """
        logits = self.logits(hidden[:, len(options.prompt)])
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
        attention = self._attention(cache) if options.return_attention else None
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

    def new_cache(self, states: torch.Tensor, length: int) -> DecoderCache:
        """Return a decoder cache for `length` tokens, with the keys and values of the audio."""
        rows = len(states)
        cross, keys, values = [], [], []
        for layer in self.layers:
            key, value = layer.heads.split(layer.cross_key_value(states), 2)
            cross.append((key.contiguous(), value.contiguous()))
            shape = (rows, layer.heads.count, length, layer.heads.width)
            keys.append(states.new_empty(shape))
            values.append(states.new_empty(shape))
        return DecoderCache(keys, values, cross, [[] for _ in self.layers])

    def forward(
        self, tokens: torch.Tensor, cache: DecoderCache, keep_queries: bool
    ) -> torch.Tensor:
        """Append tokens to the cache; return their hidden states.

        `tokens` has the shape (batch, length), the result (batch, length, d_model). With
        `keep_queries` the queries of the alignment heads are kept, for word timestamps.
        """
        begin, count = cache.length, tokens.shape[1]
        mask = None
        if begin and count > 1:  # PyTorch's own causal mask begins at the first key
            mask = causal_mask(count, begin, self._positions)
        x = self.embed(tokens, slice(begin, begin + count))
        for index, layer in enumerate(self.layers):
            query, key, value = layer.heads.split(layer.self_qkv(layer.self_norm(x)), 3)
            keys, values = cache.self_keys[index], cache.self_values[index]
            keys[:, :, begin : begin + count] = key
            values[:, :, begin : begin + count] = value
            attention = self.attention(
                query,
                keys[:, :, : begin + count],
                values[:, :, : begin + count],
                mask,
                count > 1 and not begin,
            )
            x = x + layer.self_out(layer.heads.join(attention))
            (query,) = layer.heads.split(layer.cross_query(layer.cross_norm(x)), 1)
            if keep_queries and index in self.alignment_heads:
                cache.cross_queries[index].append(query[:, self.alignment_heads[index]])
            attention = self._attend_to_audio(query, *cache.cross[index])
            x = x + layer.cross_out(layer.heads.join(attention))
            x = x + layer.fc2(layer.activation(layer.fc1(layer.final_norm(x))))
        cache.length += count
        return self.norm(x)

    def _attend_to_audio(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        """Compute the attention of queries, shape (rows, heads, tokens, width), to the audio.

        Beams of one text, which are rows with one token each, share the keys and values.
        """
        rows, texts = len(query), len(key)
        if rows == texts:
            return self.attention(query, key, value)
        beams = query.view(texts, rows // texts, *query.shape[1::2]).transpose(1, 2)
        return self.attention(beams, key, value).transpose(1, 2).reshape(query.shape)

    def embed(self, tokens: torch.Tensor, positions: slice | torch.Tensor) -> torch.Tensor:
        """Return the embeddings of tokens at positions, shape (batch, length, d_model)."""
        return self._embeddings(tokens) + self._positions[positions]

    def truncate(self, cache: DecoderCache, length: int) -> None:
        """Remove the tokens after the first `length` from the cache."""
        extra = cache.length - length
        if extra <= 0:
            return
        cache.length = length
        for queries in cache.cross_queries:
            if queries:
                queries[-1] = queries[-1][:, :, : queries[-1].shape[2] - extra]

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits of the next token, shape (..., vocabulary), in float32."""
        weight = self._vocabulary_weight
        if weight is not None and hidden.dim() == 2 and 1 < len(hidden) <= FEW_ROWS:
            return (weight @ hidden.t()).t().contiguous().float()  # 2 times as fast as linear
        return self._vocabulary(hidden).float()

    def _attention(self, cache: DecoderCache) -> torch.Tensor:
        """Return the logits of the attention to the audio: (batch, heads, tokens, positions)."""
        parts = []
        for index, heads in self.alignment_heads.items():
            queries = torch.cat(cache.cross_queries[index], 2)
            keys = cache.cross[index][0][:, heads]
            parts.append(queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1]))
        return torch.cat(parts, 1).float()

    def attention_of(self, cache: DecoderCache, text: int, rows: list[int]) -> torch.Tensor:
        """Return the attention logits of a text whose tokens were predicted by different rows.

        `text` is its row of the audio, `rows` has a row for each step. The shape is (heads,
        tokens, positions).
        """
        parts = []
        for index, heads in self.alignment_heads.items():
            steps = zip(cache.cross_queries[index], rows)
            queries = torch.cat([query[row, :, -1:] for query, row in steps], 1)
            keys = cache.cross[index][0][text, heads]
            parts.append(queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1]))
        return torch.cat(parts).float()

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
