"""Greedy decoding on a GPU with a CUDA graph.

Token by token a GPU is faster than Python can launch its kernels. So the decoding step has one
shape for all tokens (caches of full length with masks, the position in a tensor), selects its
token itself, and is captured once as a CUDA graph. Each decoding step replays the graph; the host
synchronizes every 4 tokens, to see whether all texts have ended. Without a GPU the same step runs
directly, which is how it is tested.
"""

from collections.abc import Callable
import warnings

import torch
from torch.nn import functional

from ...core.scheduler import JobContext
from .fallback import should_stop
from .greedy import DecoderCache, GIVE_UP_INTERVAL, GreedyDecoder
from .types import DecodingOptions, DecodingResult

SYNC_INTERVAL = 4  # tokens between two synchronizations with the GPU
Step = Callable[[], None]


class CudaGraphDecoder:
    """Decode as a GreedyDecoder does, with its layers, by a CUDA graph."""

    def __init__(self, greedy: GreedyDecoder) -> None:
        """Use the weights of `greedy`; graphs are captured when they are first needed."""
        self._greedy = greedy
        self._steps: dict[int, StaticStep] = {}  # by batch size

    def decode(
        self, states: torch.Tensor, options: DecodingOptions, context: JobContext
    ) -> list[DecodingResult]:
        """Decode encoder states of shape (batch, positions, d_model); raise JobAborted."""
        greedy = self._greedy
        start, max_tokens = greedy.start(options)
        step = self._step(states)
        cache = greedy.new_cache(states, len(start) + max_tokens)
        first = torch.tensor([start] * len(states), device=states.device)
        hidden = greedy.forward(first, cache, options.return_attention)
        no_speech = greedy.no_speech_probabilities(hidden, options)
        step.begin(cache, *greedy.select(greedy.logits(hidden[:, -1]), first=True))
        count = 1
        while count < max_tokens:
            context.check()
            step.run()
            count += 1
            if count % SYNC_INTERVAL == 0 and step.ended(count):
                break
            if count % GIVE_UP_INTERVAL == 0 and step.stopping(count, options.give_up_early):
                break
        ids, values = step.output(count)
        if options.return_attention:
            step.copy_queries(cache, count - 1)
        return greedy.results(cache, ids, values, no_speech, options)

    def _step(self, states: torch.Tensor) -> 'StaticStep':
        rows = len(states)
        if rows not in self._steps:
            self._steps[rows] = StaticStep(self._greedy, states)
        return self._steps[rows]


class StaticStep:
    """One decoding step in memory that does not move, as a CUDA graph needs it."""

    def __init__(self, greedy: GreedyDecoder, states: torch.Tensor) -> None:
        """Allocate memory for the batch size of `states`, and capture the graph."""
        self._greedy = greedy
        rows, device = len(states), states.device
        length, positions = greedy.max_target_positions, greedy.max_source_positions
        self._cache = greedy.new_cache(states.new_zeros(rows, positions, states.shape[2]), length)
        for cache in (*self._cache.self_keys, *self._cache.self_values):
            cache.zero_()  # masked rows are read too
        self._audio_length = torch.zeros(1, dtype=torch.long, device=device)
        self._audio_positions = torch.arange(positions, device=device)
        self._token = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self._position = torch.zeros(1, dtype=torch.long, device=device)
        self._positions = torch.arange(length, device=device)
        self._tokens = torch.zeros(rows, length, dtype=torch.long, device=device)
        self._scores = torch.zeros(rows, length, device=device)
        self._queries = {
            layer: states.new_zeros(rows, len(heads), length, greedy.layers[layer].heads.width)
            for layer, heads in greedy.alignment_heads.items()
        }
        self._first = 0
        self.run: Step = self._run if device.type != 'cuda' else capture_graph(self._run)

    def begin(self, cache: DecoderCache, chosen: torch.Tensor, scores: torch.Tensor) -> None:
        """Copy the decoder cache of the start, and set the text's first token."""
        self._first = cache.length
        for mine, other in (
            *zip(self._cache.self_keys, cache.self_keys),
            *zip(self._cache.self_values, cache.self_values),
        ):
            mine[:, :, : cache.length] = other[:, :, : cache.length]
        for mine, other in zip(self._cache.cross, cache.cross):
            for target, source in zip(mine, other):
                target[:, :, : source.shape[2]] = source
        self._audio_length.fill_(cache.cross[0][0].shape[2])
        self._position.fill_(cache.length)
        self._token.copy_(chosen[:, None])
        self._tokens[:, cache.length] = chosen
        self._scores[:, cache.length] = scores

    def _run(self) -> None:
        """Append the newest token and select the next one, without reading a value."""
        greedy, position = self._greedy, self._position
        token_mask = (self._positions <= position)[None]
        audio_mask = (self._audio_positions < self._audio_length)[None]
        x = greedy.embed(self._token, position)
        for index, layer in enumerate(greedy.layers):
            query, key, value = layer.heads.split(layer.self_qkv(layer.self_norm(x)), 3)
            keys, values = self._cache.self_keys[index], self._cache.self_values[index]
            keys.index_copy_(2, position, key)
            values.index_copy_(2, position, value)
            attention = functional.scaled_dot_product_attention(query, keys, values, token_mask)
            x = x + layer.self_out(layer.heads.join(attention))
            (query,) = layer.heads.split(layer.cross_query(layer.cross_norm(x)), 1)
            if index in greedy.alignment_heads:
                heads = greedy.alignment_heads[index]
                self._queries[index].index_copy_(2, position, query[:, heads])
            cross = self._cache.cross[index]
            attention = functional.scaled_dot_product_attention(query, *cross, audio_mask)
            x = x + layer.cross_out(layer.heads.join(attention))
            x = x + layer.fc2(layer.activation(layer.fc1(layer.final_norm(x))))
        chosen, scores = greedy.select(greedy.logits(greedy.norm(x))[:, 0])
        position += 1
        self._token.copy_(chosen[:, None])
        self._tokens.index_copy_(1, position, chosen[:, None])
        self._scores.index_copy_(1, position, scores[:, None])

    def ended(self, count: int) -> bool:
        """Return whether each text has an end token among its first `count` tokens."""
        tokens = self._tokens[:, self._first : self._first + count]
        return bool((tokens == self._greedy.end).any(1).all())

    def output(self, count: int) -> tuple[list[list[int]], list[list[float]]]:
        """Return the first `count` tokens of each text and their log probabilities."""
        part = slice(self._first, self._first + count)
        return self._tokens[:, part].tolist(), self._scores[:, part].tolist()

    def stopping(self, count: int, give_up_early: bool) -> bool:
        """Return whether no text needs to be decoded further."""
        rows = zip(*self.output(count))
        return all(should_stop(*row, self._greedy.end, give_up_early) for row in rows)

    def copy_queries(self, cache: DecoderCache, count: int) -> None:
        """Append the queries of `count` steps to a decoder cache, for word timestamps."""
        for index, queries in self._queries.items():
            part = queries[:, :, self._first : self._first + count]
            cache.cross_queries[index].append(part)


def capture_graph(run: Step) -> Step:
    """Return a function that replays `run` as a CUDA graph; its memory must not move.

    Where capturing fails, warn and return `run` itself.
    """
    try:
        # In their first runs kernels choose algorithms and allocate, which a graph cannot hold.
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                run()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
    except RuntimeError as error:
        warnings.warn(f'decoding runs without a CUDA graph: {error}', stacklevel=2)
        return run
    return graph.replay
