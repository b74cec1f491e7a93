"""Our own greedy decoding of a Whisper: the tokens of transformers' generation, and less work.

For one token at a time the arithmetic is small, and most of `model.generate` is overhead: here the
queries, keys and values are one product, the keys and values of the audio are computed once, the
caches are allocated once, and on a CPU every product, that with the vocabulary included, may be in
dynamic int8. The probabilities of the tokens and the attention to the audio are by-products, for
which transformers would need a second pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import Any

import torch
from torch.nn import functional

from ...core.scheduler import JobContext
from ..attention import Heads
from ..quantization import product
from ..special_tokens import SpecialTokens
from .fallback import is_hopeless
from .types import DecodingOptions, DecodingResult

DOUBT = 16  # tokens after which a text is looked at


class _Layer:
    """One layer of the decoder."""

    def __init__(self, layer: Any, int8: bool) -> None:
        own, other = layer.self_attn, layer.encoder_attn
        self.heads = Heads(own)
        self.qkv = product((own.q_proj, own.k_proj, own.v_proj), int8)
        self.own_out = product((own.out_proj,), int8)
        self.query = product((other.q_proj,), int8)
        self.audio = product((other.k_proj, other.v_proj), int8)
        self.other_out = product((other.out_proj,), int8)
        self.up, self.down = product((layer.fc1,), int8), product((layer.fc2,), int8)
        self.norms = (
            layer.self_attn_layer_norm,
            layer.encoder_attn_layer_norm,
            layer.final_layer_norm,
        )
        self.activation = layer.activation_fn


@dataclass
class State:
    """What decoding keeps from token to token."""

    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    audio: list[tuple[torch.Tensor, torch.Tensor]]
    queries: list[list[torch.Tensor]]
    """For each layer that follows the audio, the queries of its heads at each step."""
    length: int = 0


class GreedyDecoder:
    """Decodes with the weights of a WhisperForConditionalGeneration."""

    def __init__(
        self, model: Any, tokens: SpecialTokens, heads: dict[int, list[int]], int8: bool = False
    ) -> None:
        """`heads` are those that follow the audio, by layer."""
        decoder = model.get_decoder()
        self._special, self.end = tokens, tokens.end
        self._tokens, self._positions = decoder.embed_tokens, decoder.embed_positions.weight
        self.layers = [_Layer(layer, int8) for layer in decoder.layers]
        self.norm = decoder.layer_norm
        self._vocabulary = product((model.proj_out,), int8)
        self.heads = heads
        self.longest = model.config.max_target_positions
        self.hears = model.config.max_source_positions
        generation = model.generation_config
        size, device = model.config.vocab_size, self._positions.device
        self._forbidden = mask(generation.suppress_tokens, size, device)
        self._forbidden_first = mask(generation.begin_suppress_tokens, size, device)

    @staticmethod
    def fits(model: Any) -> bool:
        """Return whether the model is built as this decoder expects."""
        decoder = model.get_decoder()
        scaled = getattr(model.config, 'scale_embedding', False)
        return type(model).__name__ == 'WhisperForConditionalGeneration' and not (
            scaled or hasattr(decoder, 'project_in') or hasattr(decoder, 'adapter')
        )

    def decode(
        self, states: torch.Tensor, task: DecodingOptions, turn: JobContext
    ) -> list[DecodingResult]:
        """Decode each of the encoder's states, shape (batch, positions, width)."""
        start, room = self.start(task)
        state = self.begin(states, len(start) + room)
        first = torch.tensor([start] * len(states), device=states.device)
        hidden = self.step(first, state, task.follow)
        silence = self.silence(hidden, task)
        tokens: list[torch.Tensor] = []
        scores: list[torch.Tensor] = []
        done = torch.zeros(len(states), dtype=torch.bool, device=states.device)
        for index in range(room):
            turn.check()
            chosen, scored = self.choose(self.logits(hidden[:, -1]), first=not index)
            tokens.append(chosen)
            scores.append(scored)
            done = done | (chosen == self.end)
            if bool(done.all()):
                break
            if task.doubt and index % DOUBT == DOUBT - 1 and _all_hopeless(tokens, scores):
                break
            if index + 1 < room:
                hidden = self.step(chosen[:, None], state, task.follow)
        ids, values = torch.stack(tokens, 1).tolist(), torch.stack(scores, 1).tolist()
        return self.results(state, ids, values, silence, task)

    # The parts of decoding, which speculative decoding puts together in another way

    def start(self, task: DecodingOptions) -> tuple[list[int], int]:
        """Return the tokens before the text, and the most that it may have itself."""
        start = [*task.before, *task.prefix]
        return start, max(1, min(task.room, self.longest - len(start)))

    def silence(self, hidden: torch.Tensor, task: DecodingOptions) -> torch.Tensor:
        """Return the no-speech probabilities, shape (batch,), from the states of the start."""
        return self.logits(hidden[:, len(task.before)]).softmax(-1)[:, self._special.no_speech]

    def choose(
        self, logits: torch.Tensor, first: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the likeliest allowed tokens, and their log probabilities, shape (rows,)."""
        allowed = logits + self._forbidden
        if first:
            allowed = allowed + self._forbidden_first
        chosen = allowed.argmax(-1)
        return chosen, logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(-1)

    def results(
        self,
        state: State,
        ids: list[list[int]],
        values: list[list[float]],
        silence: torch.Tensor,
        task: DecodingOptions,
    ) -> list[DecodingResult]:
        """Return what was decoded: the tokens and log probabilities up to the end of each row."""
        begun = len(task.before) + len(task.prefix)
        attention = self._attention(state) if task.follow else None
        results = []
        for row, (its_ids, its_values) in enumerate(zip(ids, values)):
            count = its_ids.index(self.end) if self.end in its_ids else len(its_ids)
            followed = None
            if attention is not None:
                followed = attention[row, :, begun - 1 : begun + count]
                if followed.shape[1] <= count:  # the end did not come: its row is the last one's
                    followed = torch.cat((followed, followed[:, -1:]), 1)
            results.append(
                DecodingResult(
                    its_ids[:count],
                    its_values[: count + 1],
                    float(silence[row]),
                    self.end in its_ids,
                    followed,
                )
            )
        return results

    def begin(self, states: torch.Tensor, length: int) -> State:
        """Return an empty state for so many tokens."""
        rows = len(states)
        audio, keys, values = [], [], []
        for layer in self.layers:
            key, value = layer.heads.split(layer.audio(states), 2)
            audio.append((key.contiguous(), value.contiguous()))
            shape = (rows, layer.heads.count, length, layer.heads.width)
            keys.append(states.new_empty(shape))
            values.append(states.new_empty(shape))
        return State(keys, values, audio, [[] for _ in self.layers])

    def step(self, tokens: torch.Tensor, state: State, follow: bool) -> torch.Tensor:
        """Take tokens, shape (batch, length); return the hidden states of each."""
        begin, count = state.length, tokens.shape[1]
        mask = None
        if begin and count > 1:  # torch's own causal mask begins at the first key
            mask = torch.ones(count, begin + count, dtype=torch.bool, device=tokens.device)
            mask = mask.tril(begin)
        x = self.embed(tokens, slice(begin, begin + count))
        for index, layer in enumerate(self.layers):
            query, key, value = layer.heads.split(layer.qkv(layer.norms[0](x)), 3)
            keys, values = state.keys[index], state.values[index]
            keys[:, :, begin : begin + count] = key
            values[:, :, begin : begin + count] = value
            attended = functional.scaled_dot_product_attention(
                query,
                keys[:, :, : begin + count],
                values[:, :, : begin + count],
                mask,
                is_causal=count > 1 and not begin,
            )
            x = x + layer.own_out(layer.heads.join(attended))
            (query,) = layer.heads.split(layer.query(layer.norms[1](x)), 1)
            if follow and index in self.heads:
                state.queries[index].append(query[:, self.heads[index]])
            attended = functional.scaled_dot_product_attention(query, *state.audio[index])
            x = x + layer.other_out(layer.heads.join(attended))
            x = x + layer.down(layer.activation(layer.up(layer.norms[2](x))))
        state.length += count
        return self.norm(x)

    def embed(self, tokens: torch.Tensor, positions: slice | torch.Tensor) -> torch.Tensor:
        """Return the vectors of tokens at positions, shape (batch, length, width)."""
        return self._tokens(tokens) + self._positions[positions]

    def rewind(self, state: State, length: int) -> None:
        """Forget the tokens behind the first `length`."""
        extra = state.length - length
        if extra <= 0:
            return
        state.length = length
        for queries in state.queries:
            if queries:
                queries[-1] = queries[-1][:, :, : queries[-1].shape[2] - extra]

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits of the next token, shape (..., vocabulary)."""
        return self._vocabulary(hidden).float()

    def _attention(self, state: State) -> torch.Tensor:
        """Return the logits of the attention, shape (batch, heads, tokens, positions)."""
        parts = []
        for index, heads in self.heads.items():
            queries = torch.cat(state.queries[index], 2)
            keys = state.audio[index][0][:, heads]
            parts.append(queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1]))
        return torch.cat(parts, 1).float()


def _all_hopeless(tokens: list[torch.Tensor], scores: list[torch.Tensor]) -> bool:
    rows = zip(torch.stack(tokens, 1).tolist(), torch.stack(scores, 1).tolist())
    return all(is_hopeless(its_tokens, its_scores) for its_tokens, its_scores in rows)


def mask(tokens: Sequence[int] | None, size: int, device: torch.device) -> torch.Tensor:
    """Return what is added to logits so that these tokens are never chosen."""
    result = torch.zeros(size, device=device)
    result[list(tokens or ())] = -math.inf
    return result
