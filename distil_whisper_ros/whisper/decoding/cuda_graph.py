"""Greedy decoding of one text on a GPU with a CUDA graph.

Token by token a GPU is faster than Python can launch its kernels. So the decoding step has one
shape for all tokens (caches of full length with masks, the position in a tensor), selects its
token itself, and is captured once as a CUDA graph. Each decoding step replays the graph; the host
synchronizes every 4 tokens, to see whether the text has ended. Without a GPU the same step runs
directly, which is how it is tested.

It is for one text: a batch shares each launch among its texts, and a graph for each batch size
would keep caches of full length for each (of medium.en 0.2 GB for every text).
"""

from collections.abc import Callable
import math

import torch

from ...core.scheduler import JobContext
from .cache import DecoderCache
from .fallback import should_stop
from .greedy import GIVE_UP_INTERVAL, GreedyDecoder
from .types import DecodingOptions, DecodingResult

SYNC_INTERVAL = 4  # tokens between two synchronizations with the GPU
ALIGNMENT = 16  # fused attention copies a mask whose length is no multiple of it
Step = Callable[[], None]


class CudaGraphDecoder:
    """Decode one text as a GreedyDecoder does, with its layers, by a CUDA graph."""

    def __init__(self, greedy: GreedyDecoder) -> None:
        """Use the weights of `greedy`; the graph is captured when it is first needed."""
        self._greedy = greedy
        self.step: StaticStep | None = None

    def decode(
        self, states: torch.Tensor, options: DecodingOptions, context: JobContext
    ) -> list[DecodingResult]:
        """Decode encoder states of shape (1, positions, d_model).

        Raises JobAborted, and RuntimeError if no graph can be captured.
        """
        greedy, network = self._greedy, self._greedy.network
        start, max_tokens = greedy.start(options)
        if self.step is None:
            self.step = StaticStep(greedy, states)
        step = self.step
        cache = step.begin(states)
        first = torch.tensor([start], device=states.device)
        hidden = network.forward(first, cache, options.return_attention)
        no_speech = greedy.no_speech_probabilities(hidden, options)
        step.set_first(cache.length, *greedy.select(network.logits(hidden[:, -1]), first=True))
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


class StaticStep:
    """One decoding step in memory that does not move, as a CUDA graph needs it."""

    def __init__(self, greedy: GreedyDecoder, like: torch.Tensor) -> None:
        """Allocate memory in the device and precision of `like`, and capture the graph."""
        self._greedy, self._network = greedy, greedy.network
        network = self._network
        length = aligned(network.max_target_positions)
        positions = aligned(network.max_source_positions)

        def caches(size: int) -> list[torch.Tensor]:
            return [
                like.new_zeros(1, layer.heads.count, size, layer.heads.width)
                for layer in network.layers
            ]

        self._self_keys, self._self_values = caches(length), caches(length)
        self._cross = [*zip(caches(positions), caches(positions))]
        # Added to the logits of attention: 0, or minus infinity behind the last token or position.
        self._token_mask = like.new_full((1, 1, 1, length), -math.inf)
        self._audio_mask = like.new_full((1, 1, 1, positions), -math.inf)
        self._audio_mask[..., 0] = 0.0
        integers = {'dtype': torch.long, 'device': like.device}
        self._token = torch.zeros(1, 1, **integers)
        self._position = torch.zeros(1, **integers)
        self._tokens = torch.zeros(1, length, **integers)
        self._scores = torch.zeros(1, length, device=like.device)
        self._queries = {
            layer: like.new_zeros(1, len(heads), length, network.layers[layer].heads.width)
            for layer, heads in network.alignment_heads.items()
        }
        self._first = 0
        cuda = like.device.type == 'cuda'
        self.run: Step = capture_graph(self._run, like.device) if cuda else self._run

    def begin(self, states: torch.Tensor) -> DecoderCache:
        """Return an empty decoder cache in the static memory, with the audio of `states`.

        What an earlier text left behind is removed: a value that is not finite would spoil the
        sum of attention in spite of its mask.
        """
        positions = states.shape[1]
        for cache in (*self._self_keys, *self._self_values):
            cache.zero_()
        for layer, cross in zip(self._network.layers, self._cross):
            parts = layer.heads.split(layer.cross_key_value(states), 2)
            for target, source in zip(cross, parts):
                target[:, :, :positions] = source
                target[:, :, positions:] = 0.0
        self._token_mask.fill_(-math.inf)
        self._audio_mask.fill_(-math.inf)
        self._audio_mask[..., :positions] = 0.0
        return DecoderCache(
            self._self_keys,
            self._self_values,
            [(key[:, :, :positions], value[:, :, :positions]) for key, value in self._cross],
            [[] for _ in self._cross],
        )

    def set_first(self, length: int, chosen: torch.Tensor, scores: torch.Tensor) -> None:
        """Set the text's first token, which comes after `length` others."""
        self._first = length
        self._token_mask[..., :length] = 0.0
        self._position.fill_(length)
        self._token.copy_(chosen[:, None])
        self._tokens[:, length] = chosen
        self._scores[:, length] = scores

    def _run(self) -> None:
        """Append the newest token and select the next one, without reading a value."""
        network, position = self._network, self._position
        self._token_mask.index_fill_(3, position, 0.0)
        x = network.embed(self._token, position)
        for index, layer in enumerate(network.layers):
            query, key, value = layer.heads.split(layer.self_qkv(layer.self_norm(x)), 3)
            keys, values = self._self_keys[index], self._self_values[index]
            keys.index_copy_(2, position, key)
            values.index_copy_(2, position, value)
            attention = network.attention(query, keys, values, self._token_mask)
            x = x + layer.self_out(layer.heads.join(attention))
            (query,) = layer.heads.split(layer.cross_query(layer.cross_norm(x)), 1)
            if index in network.alignment_heads:
                heads = network.alignment_heads[index]
                self._queries[index].index_copy_(2, position, query[:, heads])
            attention = network.attention(query, *self._cross[index], self._audio_mask)
            x = x + layer.cross_out(layer.heads.join(attention))
            x = x + layer.fc2(layer.activation(layer.fc1(layer.final_norm(x))))
        chosen, scores = self._greedy.select(network.logits(network.norm(x))[:, 0])
        position += 1
        self._token.copy_(chosen[:, None])
        self._tokens.index_copy_(1, position, chosen[:, None])
        self._scores.index_copy_(1, position, scores[:, None])

    def ended(self, count: int) -> bool:
        """Return whether there is an end token among the first `count` tokens."""
        tokens = self._tokens[:, self._first : self._first + count]
        return bool((tokens == self._greedy.end).any())

    def output(self, count: int) -> tuple[list[list[int]], list[list[float]]]:
        """Return the first `count` tokens of the text and their log probabilities."""
        part = slice(self._first, self._first + count)
        return self._tokens[:, part].tolist(), self._scores[:, part].tolist()

    def stopping(self, count: int, give_up_early: bool) -> bool:
        """Return whether the text needs to be decoded no further."""
        rows = zip(*self.output(count))
        return all(should_stop(*row, self._greedy.end, give_up_early) for row in rows)

    def copy_queries(self, cache: DecoderCache, count: int) -> None:
        """Append the queries of `count` steps to a decoder cache, for word timestamps."""
        for index, queries in self._queries.items():
            part = queries[:, :, self._first : self._first + count]
            cache.cross_queries[index].append(part)


def aligned(length: int) -> int:
    """Return the next multiple of ALIGNMENT."""
    return -(-length // ALIGNMENT) * ALIGNMENT


def capture_graph(run: Step, device: torch.device) -> Step:
    """Return a function that replays `run` as a CUDA graph; its memory must not move.

    Streams belong to a device, so everything happens on that of the model, which may be another
    one than PyTorch's current device. Raises RuntimeError where capturing fails.
    """
    with torch.cuda.device(device):
        current, aside = torch.cuda.current_stream(device), torch.cuda.Stream(device)
        # A failed capture would leave `aside` the current stream: this one is always restored.
        with torch.cuda.stream(current):
            # In their first runs kernels choose algorithms and allocate, which no graph can hold.
            aside.wait_stream(current)
            with torch.cuda.stream(aside):
                for _ in range(3):
                    run()
            current.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            # Other threads may use CUDA meanwhile, for what they do is no part of the graph.
            with torch.cuda.graph(graph, stream=aside, capture_error_mode='thread_local'):
                run()
    return graph.replay
