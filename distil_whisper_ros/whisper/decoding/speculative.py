"""Speculative decoding: a small decoder drafts tokens, and the model verifies several at once.

Leviathan, Kalman, Matias, "Fast Inference from Transformers via Speculative Decoding", ICML 2023,
for greedy decoding: a drafted token is accepted only if it is the model's own choice, so the text
is the same as without. It pays where a step with several tokens takes hardly longer than a step
with one, and where the drafts are good: a Distil-Whisper drafts for the Whisper that it was
distilled from, whose encoder it shares.
"""

from typing import Any

import torch

from ...core.errors import ModelError
from ...core.scheduler import JobContext
from .cache import DecoderCache
from .fallback import should_stop
from .greedy import GIVE_UP_INTERVAL, GreedyDecoder
from .network import DecoderNetwork
from .types import DecodingOptions, DecodingResult

DRAFT_LENGTH = 5  # tokens
# How much weights differ when one of them was saved in bfloat16, which has 8 bits.
PRECISION = 2.0**-8


class SpeculativeDecoder:
    """Decode one text with a model and an assistant."""

    def __init__(self, model: GreedyDecoder, assistant: GreedyDecoder) -> None:
        """Use the decoders of the model and of an assistant with the same encoder."""
        self._model, self.assistant = model, assistant

    def decode(
        self, states: torch.Tensor, options: DecodingOptions, context: JobContext
    ) -> list[DecodingResult]:
        """Decode encoder states of shape (1, positions, d_model); raise JobAborted."""
        model, network, assistant = self._model, self._model.network, self.assistant.network
        start, max_tokens = model.start(options)
        cache = network.new_cache(states, len(start) + max_tokens)
        draft_cache = assistant.new_cache(states, len(start) + max_tokens)
        first = torch.tensor([start], device=states.device)
        hidden = network.forward(first, cache, options.return_attention)
        no_speech = model.no_speech_probabilities(hidden, options)
        chosen, scored = model.select(network.logits(hidden[:, -1]), first=True)
        tokens, scores = chosen.tolist(), scored.tolist()
        while tokens[-1] != model.end and len(tokens) < max_tokens:
            context.check()
            before = len(tokens)
            length = min(DRAFT_LENGTH, max_tokens - before)
            draft = self._draft(draft_cache, [*start, *tokens], length)
            verify = torch.tensor([[tokens[-1], *draft]], device=states.device)
            hidden = network.forward(verify, cache, options.return_attention)
            chosen, scored = model.select(network.logits(hidden[0]))
            accepted = accepted_tokens(draft, chosen.tolist(), model.end)
            tokens += accepted[: max_tokens - before]
            scores += scored.tolist()[: len(tokens) - before]
            # The last token is the first one of the next step.
            network.truncate(cache, len(start) + len(tokens) - 1)
            assistant.truncate(draft_cache, len(start) + len(tokens) - 1)
            if _stopping(tokens, scores, before, model.end, options.give_up_early):
                break
        return model.results(cache, [tokens], [scores], no_speech, options)

    def _draft(self, cache: DecoderCache, tokens: list[int], length: int) -> list[int]:
        """Return the assistant's next `length` tokens, or fewer up to an end token."""
        assistant, device = self.assistant, cache.self_keys[0].device
        new, draft = tokens[cache.length :], []
        for _ in range(length):
            step = torch.tensor([new], device=device)
            hidden = assistant.network.forward(step, cache, keep_queries=False)
            chosen, _ = assistant.select(assistant.network.logits(hidden[:, -1]))
            new = chosen.tolist()
            draft += new
            if new[0] == assistant.end:
                break
        return draft


def accepted_tokens(draft: list[int], chosen: list[int], end: int) -> list[int]:
    """Return the model's choices up to the first one that was not drafted, or the end token."""
    for index, token in enumerate(chosen):
        if token == end or index == len(draft) or token != draft[index]:
            return chosen[: index + 1]
    return chosen


def _stopping(
    tokens: list[int], scores: list[float], before: int, end: int, give_up_early: bool
) -> bool:
    """Check the text at the same lengths as greedy decoding does."""
    lengths = range(
        before // GIVE_UP_INTERVAL * GIVE_UP_INTERVAL + GIVE_UP_INTERVAL,
        len(tokens) + 1,
        GIVE_UP_INTERVAL,
    )
    return any(
        should_stop(tokens[:length], scores[:length], end, give_up_early) for length in lengths
    )


def check_assistant(model: Any, assistant: Any, name: str, model_name: str) -> None:
    """Raise a ModelError unless the assistant has the model's encoder and vocabulary.

    `name` and `model_name` are the names of the assistant and the model, for the message.
    """
    mine, other = (each.get_encoder().state_dict() for each in (model, assistant))
    shared = (
        DecoderNetwork.supports(assistant)
        and model.config.vocab_size == assistant.config.vocab_size
        and mine.keys() == other.keys()
        and all(_are_alike(mine[key], other[key]) for key in mine)
    )
    if not shared:
        raise ModelError(
            f'model.assistant is {name!r}, but its encoder is not that of {model_name}: it must '
            'be a Distil-Whisper of the same Whisper, as "distil-whisper/distil-medium.en" for '
            '"openai/whisper-medium.en", or empty'
        )


def _are_alike(mine: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether weights are the same but for the precision that they were saved in."""
    if mine.shape != other.shape:
        return False
    mine, other = mine.float(), other.float()
    return bool((mine - other).norm() <= PRECISION * mine.norm())
