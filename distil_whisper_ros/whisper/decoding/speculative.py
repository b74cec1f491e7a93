"""Speculative decoding: a small decoder guesses ahead, and the model checks several at once.

Leviathan, Kalman, Matias, "Fast inference from transformers via speculative decoding" (2023), for
greedy decoding: a guess counts only if it is the model's own choice, so the text is the same as
without. It pays where one step with several tokens takes hardly longer than one with a single
token, and where the guesses are good: a Distil-Whisper guesses for the Whisper that it was
distilled from, whose encoder it shares.
"""

from typing import Any

import torch

from ...core.errors import ModelError
from ...core.scheduler import JobContext
from .fallback import is_hopeless
from .greedy import DOUBT, GreedyDecoder, State
from .types import DecodingOptions, DecodingResult

AHEAD = 5  # tokens guessed at once


class SpeculativeDecoder:
    """Decodes one text with a model and an assistant."""

    def __init__(self, model: GreedyDecoder, assistant: GreedyDecoder) -> None:
        self._model, self._assistant = model, assistant

    def decode(
        self, states: torch.Tensor, task: DecodingOptions, turn: JobContext
    ) -> list[DecodingResult]:
        """Decode the encoder's states, shape (1, positions, width)."""
        model, assistant = self._model, self._assistant
        start, room = model.start(task)
        state = model.begin(states, len(start) + room)
        guessing = assistant.begin(states, len(start) + room)
        hidden = model.step(torch.tensor([start], device=states.device), state, task.follow)
        silence = model.silence(hidden, task)
        chosen, scored = model.choose(model.logits(hidden[:, -1]), first=True)
        tokens, scores = chosen.tolist(), scored.tolist()
        while tokens[-1] != model.end and len(tokens) < room:
            turn.check()
            before = len(tokens)
            guesses = self._guess(guessing, [*start, *tokens], min(AHEAD, room - before))
            ahead = torch.tensor([[tokens[-1], *guesses]], device=states.device)
            hidden = model.step(ahead, state, task.follow)
            chosen, scored = model.choose(model.logits(hidden[0]))
            right = agreed(guesses, chosen.tolist(), model.end)
            tokens += right[: room - before]
            scores += scored.tolist()[: len(tokens) - before]
            # The last token is the next step's first.
            model.rewind(state, len(start) + len(tokens) - 1)
            assistant.rewind(guessing, len(start) + len(tokens) - 1)
            if task.doubt and _hopeless(tokens, scores, before):
                break
        return model.results(state, [tokens], [scores], silence, task)

    def _guess(self, state: State, tokens: list[int], count: int) -> list[int]:
        """Return so many tokens that the assistant takes for the next ones, or fewer at an end."""
        assistant, device = self._assistant, state.keys[0].device
        new, guesses = tokens[state.length :], []
        for _ in range(count):
            hidden = assistant.step(torch.tensor([new], device=device), state, follow=False)
            chosen, _ = assistant.choose(assistant.logits(hidden[:, -1]))
            new = chosen.tolist()
            guesses += new
            if new[0] == assistant.end:
                break
        return guesses


def agreed(guesses: list[int], chosen: list[int], end: int) -> list[int]:
    """Return the model's choices up to the first that was not guessed, or the end."""
    for index, token in enumerate(chosen):
        if token == end or index == len(guesses) or token != guesses[index]:
            return chosen[: index + 1]
    return chosen


def _hopeless(tokens: list[int], scores: list[float], before: int) -> bool:
    """Look at the text where greedy decoding does, each time that DOUBT more tokens came."""
    looks = range(before // DOUBT * DOUBT + DOUBT, len(tokens) + 1, DOUBT)
    return any(is_hopeless(tokens[:count], scores[:count]) for count in looks)


def check_shared(model: Any, assistant: Any, name: str, id_: str) -> None:
    """Raise a ModelError if the assistant has another encoder or vocabulary than the model."""
    mine, other = (each.get_encoder().state_dict() for each in (model, assistant))
    shared = (
        GreedyDecoder.fits(assistant)
        and model.config.vocab_size == assistant.config.vocab_size
        and mine.keys() == other.keys()
        and all(torch.equal(mine[key], other[key]) for key in mine)
    )
    if not shared:
        raise ModelError(
            f'model.assistant is {name!r}, but its encoder is not that of {id_}: it must be a '
            'Distil-Whisper of the same Whisper, as "distil-whisper/distil-medium.en" for '
            '"openai/whisper-medium.en", or empty'
        )
