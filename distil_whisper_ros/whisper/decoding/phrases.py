"""How likely the audio is to be each of many phrases: their probabilities by the decoder.

A free text is compared with commands by its letters, and a small Whisper writes single words
wrong. The same decoder, asked for the probability of each command on the same encoder states,
tells them apart far better: see `benchmarks/commands.py`.

The phrases' tokens are a prefix tree. It is descended level by level, one batch of the decoder
for each, with the nodes that are likely enough: thousands of phrases cost little more than ten.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
import math

import torch

from ...core.scheduler import JobContext
from .cache import DecoderCache
from .greedy import GreedyDecoder

WIDTH = 32  # nodes of a level that are followed
BEHIND = 12.0  # nats behind the most likely node of a level, from which a node is not followed


@dataclass
class PhraseTree:
    """A node of a prefix tree of tokens."""

    children: dict[int, 'PhraseTree'] = field(default_factory=dict)
    phrases: list[int] = field(default_factory=list)
    """Numbers of the phrases that end here."""

    depth: int = 0
    """Number of tokens of the longest phrase, at the root."""

    def add(self, phrase: int, stem: Sequence[int], ends: Sequence[Sequence[int]] = ((),)) -> None:
        """Add a form of a phrase, which has that number, with each of the ends behind it."""
        inner = self._below(stem)
        for end in ends:
            inner._below(end).phrases.append(phrase)
        self.depth = max(self.depth, len(stem) + max(map(len, ends)))

    def _below(self, tokens: Sequence[int]) -> 'PhraseTree':
        node = self
        for token in tokens:
            following = node.children.get(token)
            if following is None:
                following = node.children[token] = PhraseTree()
            node = following
        return node


def phrase_scores(
    decoder: GreedyDecoder,
    states: torch.Tensor,
    start: Sequence[int],
    tree: PhraseTree,
    context: JobContext,
) -> dict[int, float]:
    """Return the log probability of each phrase, given the audio.

    `states` are the encoder states of one utterance, shape (1, positions, d_model); `start` are
    the tokens before the text. A phrase's probability is the sum of those of its forms, each with
    the end of the text behind it; phrases that are too unlikely are not in the result. Raises
    JobAborted.
    """
    found: dict[int, list[float]] = {}
    network = decoder.network
    room = network.max_target_positions - len(start)
    cache = network.new_cache(states, len(start) + min(tree.depth, room))
    hidden = network.forward(torch.tensor([start], device=states.device), cache, False)
    level, likelihoods = [tree], [0.0]
    for _ in range(min(tree.depth, room) + 1):
        context.check()
        logits = network.logits(hidden[:, -1]).log_softmax(-1)
        wanted = [[*node.children, decoder.end] for node in level]
        rows = [row for row, tokens in enumerate(wanted) for _ in tokens]
        tokens = [token for row in wanted for token in row]
        values = logits[rows, tokens].tolist()
        nodes: list[tuple[float, int, int]] = []  # likelihood, row, token
        for row, token, value in zip(rows, tokens, values):
            likelihood = likelihoods[row] + value
            if token != decoder.end:
                nodes.append((likelihood, row, token))
            for phrase in level[row].phrases if token == decoder.end else ():
                found.setdefault(phrase, []).append(likelihood)
        nodes.sort(reverse=True)
        best = max((max(each) for each in found.values()), default=-math.inf)
        limit = max(best, nodes[0][0] if nodes else best) - BEHIND
        nodes = [node for node in nodes[:WIDTH] if node[0] > limit]
        if not nodes:
            break
        _select_rows(cache, [row for _, row, _ in nodes], states.device)
        level = [level[row].children[token] for _, row, token in nodes]
        likelihoods = [likelihood for likelihood, _, _ in nodes]
        if cache.length >= cache.self_keys[0].shape[2]:
            break
        following = torch.tensor([[token] for _, _, token in nodes], device=states.device)
        hidden = network.forward(following, cache, False)
    return {phrase: log_sum(each) for phrase, each in found.items()}


def log_sum(values: Sequence[float]) -> float:
    """Return the logarithm of the sum of the exponentials of values."""
    most = max(values)
    return most + math.log(sum(math.exp(value - most) for value in values))


def _select_rows(cache: DecoderCache, rows: list[int], device: torch.device) -> None:
    """Let the cache have these rows; the audio is the same for all."""
    index = torch.tensor(rows, device=device)
    cache.self_keys = [keys[index] for keys in cache.self_keys]
    cache.self_values = [values[index] for values in cache.self_values]
    cache.cross = [
        (keys[:1].expand(len(rows), -1, -1, -1), values[:1].expand(len(rows), -1, -1, -1))
        for keys, values in cache.cross
    ]
