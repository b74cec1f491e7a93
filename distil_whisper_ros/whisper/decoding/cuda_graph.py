"""Greedy decoding for a GPU: one token is one CUDA graph, and nobody waits for it.

Token by token a GPU is faster than Python can ask for its kernels. So the step has one shape for
all tokens (caches of full length with masks, the position in a tensor), chooses its token itself,
and is captured once as a graph: to replay it takes one call. The host looks only each few tokens
whether all texts have ended. Without a GPU the same step runs as it is, which is how it is tested.
"""

from collections.abc import Callable
import warnings

import torch
from torch.nn import functional

from ...core.scheduler import JobContext
from .fallback import is_hopeless
from .greedy import DOUBT, GreedyDecoder, State
from .types import DecodingOptions, DecodingResult

LOOK = 4  # tokens from look to look: each look waits for the GPU
Step = Callable[[], None]


class CudaGraphDecoder:
    """Decodes like Greedy, with its layers."""

    def __init__(self, greedy: GreedyDecoder) -> None:
        self._greedy = greedy
        self._rooms: dict[int, _Room] = {}  # by the texts at once

    def decode(
        self, states: torch.Tensor, task: DecodingOptions, turn: JobContext
    ) -> list[DecodingResult]:
        """Decode each of the encoder's states, shape (batch, positions, width)."""
        greedy = self._greedy
        start, room = greedy.start(task)
        place = self._room(states)
        state = greedy.begin(states, len(start) + room)
        first = torch.tensor([start] * len(states), device=states.device)
        hidden = greedy.step(first, state, task.follow)
        silence = greedy.silence(hidden, task)
        place.take(state, *greedy.choose(greedy.logits(hidden[:, -1]), first=True))
        count = 1
        while count < room:
            turn.check()
            place.step()
            count += 1
            if count % LOOK == 0 and place.ended(count):
                break
            if task.doubt and count % DOUBT == 0 and place.hopeless(count):
                break
        ids, values = place.said(count)
        if task.follow:
            place.give_queries(state, count - 1)
        return greedy.results(state, ids, values, silence, task)

    def _room(self, states: torch.Tensor) -> '_Room':
        rows = len(states)
        if rows not in self._rooms:
            self._rooms[rows] = _Room(self._greedy, states)
        return self._rooms[rows]


class _Room:
    """The memory of a step, which stays where it is, and the step itself."""

    def __init__(self, greedy: GreedyDecoder, states: torch.Tensor) -> None:
        self._greedy = greedy
        rows, longest, device = len(states), greedy.longest, states.device
        # What greedy decoding allocates for each text, once; zeros, since masked rows are read.
        audio = states.new_zeros(rows, greedy.hears, states.shape[2])
        self._state = greedy.begin(audio, longest)
        for cache in (*self._state.keys, *self._state.values):
            cache.zero_()
        self._heard = torch.zeros(1, dtype=torch.long, device=device)
        self._audio_places = torch.arange(greedy.hears, device=device)
        self._token = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self._place = torch.zeros(1, dtype=torch.long, device=device)
        self._places = torch.arange(longest, device=device)
        self._tokens = torch.zeros(rows, longest, dtype=torch.long, device=device)
        self._scores = torch.zeros(rows, longest, device=device)
        self._queries = {
            layer: states.new_zeros(rows, len(heads), longest, greedy.layers[layer].heads.width)
            for layer, heads in greedy.heads.items()
        }
        self._begun = 0
        self.step: Step = self._run if device.type != 'cuda' else captured(self._run)

    def take(self, state: State, chosen: torch.Tensor, scores: torch.Tensor) -> None:
        """Begin with the state behind the start, and the first token."""
        self._begun = state.length
        for mine, other in (
            *zip(self._state.keys, state.keys),
            *zip(self._state.values, state.values),
        ):
            mine[:, :, : state.length] = other[:, :, : state.length]
        for mine, other in zip(self._state.audio, state.audio):
            for part, its in zip(mine, other):
                part[:, :, : its.shape[2]] = its
        self._heard.fill_(state.audio[0][0].shape[2])
        self._place.fill_(state.length)
        self._token.copy_(chosen[:, None])
        self._tokens[:, state.length] = chosen
        self._scores[:, state.length] = scores

    def _run(self) -> None:
        """Take the newest token, and choose the next: without a look at any value."""
        greedy, place = self._greedy, self._place
        said = (self._places <= place)[None]
        heard = (self._audio_places < self._heard)[None]
        x = greedy.embed(self._token, place)
        for index, layer in enumerate(greedy.layers):
            query, key, value = layer.heads.split(layer.qkv(layer.norms[0](x)), 3)
            keys, values = self._state.keys[index], self._state.values[index]
            keys.index_copy_(2, place, key)
            values.index_copy_(2, place, value)
            attended = functional.scaled_dot_product_attention(query, keys, values, said)
            x = x + layer.own_out(layer.heads.join(attended))
            (query,) = layer.heads.split(layer.query(layer.norms[1](x)), 1)
            if index in greedy.heads:
                self._queries[index].index_copy_(2, place, query[:, greedy.heads[index]])
            audio = self._state.audio[index]
            attended = functional.scaled_dot_product_attention(query, *audio, heard)
            x = x + layer.other_out(layer.heads.join(attended))
            x = x + layer.down(layer.activation(layer.up(layer.norms[2](x))))
        chosen, scores = greedy.choose(greedy.logits(greedy.norm(x))[:, 0])
        place += 1
        self._token.copy_(chosen[:, None])
        self._tokens.index_copy_(1, place, chosen[:, None])
        self._scores.index_copy_(1, place, scores[:, None])

    def ended(self, count: int) -> bool:
        """Return whether all of the texts' first `count` tokens have an end."""
        said = self._tokens[:, self._begun : self._begun + count]
        return bool((said == self._greedy.end).any(1).all())

    def said(self, count: int) -> tuple[list[list[int]], list[list[float]]]:
        """Return the first `count` tokens and their log probabilities."""
        part = slice(self._begun, self._begun + count)
        return self._tokens[:, part].tolist(), self._scores[:, part].tolist()

    def hopeless(self, count: int) -> bool:
        """Return whether all texts look like failures."""
        return all(is_hopeless(*row) for row in zip(*self.said(count)))

    def give_queries(self, state: State, count: int) -> None:
        """Add to the state what the attention to the audio needs of `count` steps."""
        for index, queries in self._queries.items():
            state.queries[index].append(queries[:, :, self._begun : self._begun + count])


def captured(run: Step) -> Step:
    """Return the step as a CUDA graph; its memory must stay where it is.

    Where a graph cannot be made of it, the step stays as it is.
    """
    try:
        # Kernels choose and allocate what they need in their first runs: no graph can hold that.
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
        warnings.warn(f'decoding is not captured as a CUDA graph: {error}', stacklevel=2)
        return run
    return graph.replay
