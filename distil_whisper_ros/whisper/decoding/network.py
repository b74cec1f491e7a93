"""The decoder of a Whisper: from tokens and the audio to the logits of the next token.

For one token at a time the arithmetic is small, and most of what transformers does is overhead.
Here the queries, keys and values are one product, the keys and values of the audio are computed
once, the decoder cache is allocated once, and on a CPU every product, including the vocabulary's,
can run in dynamic int8. The attention to the audio is a by-product, for which transformers would
need a second pass.
"""

import math
from typing import Any

import torch

from ..attention import Attention, causal_mask, fused_attention, Heads
from ..quantization import fused_linear
from .cache import DecoderCache

FEW_ROWS = 8  # up to which a CPU multiplies faster with the vocabulary's weight on the left


class DecoderNetwork:
    """The layers of a decoder, with the weights of a WhisperForConditionalGeneration."""

    def __init__(
        self,
        model: Any,
        heads: dict[int, list[int]],
        int8: bool = False,
        attention: Attention = fused_attention,
    ) -> None:
        """Take the weights of `model`; with `int8`, quantize its linear layers.

        `heads` are the alignment heads, as layer: heads.
        """
        self.attention = attention
        decoder = model.get_decoder()
        self._embeddings, self._positions = decoder.embed_tokens, decoder.embed_positions.weight
        self.layers = [_Layer(layer, int8) for layer in decoder.layers]
        self.norm = decoder.layer_norm
        self._vocabulary = fused_linear((model.proj_out,), int8)
        on_cpu = self._positions.device.type == 'cpu'
        self._vocabulary_weight = model.proj_out.weight.detach() if on_cpu and not int8 else None
        self.alignment_heads = heads
        self.max_target_positions = model.config.max_target_positions
        self.max_source_positions = model.config.max_source_positions

    @property
    def device(self) -> torch.device:
        """The device of its weights."""
        return self._positions.device

    @staticmethod
    def supports(model: Any) -> bool:
        """Return whether the model has the architecture that is implemented here."""
        decoder = model.get_decoder()
        scaled = getattr(model.config, 'scale_embedding', False)
        return type(model).__name__ == 'WhisperForConditionalGeneration' and not (
            scaled or hasattr(decoder, 'project_in') or hasattr(decoder, 'adapter')
        )

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
        self,
        tokens: torch.Tensor,
        cache: DecoderCache,
        keep_queries: bool,
        positions: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Append tokens to the cache; return their hidden states.

        `tokens` has the shape (batch, length), the result (batch, length, d_model). With
        `keep_queries` the queries of the alignment heads are kept, for word timestamps. Where
        rows go on from different places of a text, `positions` are those of the tokens, and
        `mask` is added to the logits of the attention to the tokens in the cache.
        """
        begin, count = cache.length, tokens.shape[1]
        if mask is None and begin and count > 1:  # PyTorch's own begins at the first key
            mask = causal_mask(count, begin, self._positions)
        x = self.embed(tokens, slice(begin, begin + count) if positions is None else positions)
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

    def audio_attention(self, cache: DecoderCache) -> torch.Tensor:
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
