"""Decoding with transformers' own generation: for beams, and for models unlike Whisper's own."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutput

from ...core.scheduler import JobContext
from ..special_tokens import SpecialTokens
from .types import DecodingOptions, DecodingResult


class TransformersDecoder:
    """Decodes with `model.generate`, and scores the finished text with one pass of the decoder.

    The pass does not depend on what a version of transformers returns from `generate`, and its
    first position has the no-speech probability, as in openai/whisper's `decoding.py`.
    """

    def __init__(self, model: Any, tokens: SpecialTokens, heads: dict[int, list[int]]) -> None:
        """`heads` are those that follow the audio, by layer."""
        self._model = model
        self._tokens = tokens
        self._heads = heads

    def decode(
        self, states: torch.Tensor, task: DecodingOptions, turn: JobContext
    ) -> list[DecodingResult]:
        """Decode each of the encoder's states, shape (batch, positions, width)."""
        options: dict[str, Any] = {}
        if task.language:
            options |= {'language': task.language, 'task': task.name}
        if task.before:
            options['prompt_ids'] = torch.tensor(task.before, device=states.device)
        # Prompt and text share the decoder's length.
        left = self._model.config.max_target_positions - 8 - len(task.before)
        generated = self._model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            max_new_tokens=max(1, min(task.room, left)),
            num_beams=task.beam_width,
            do_sample=False,
            return_timestamps=False,
            stopping_criteria=StoppingCriteriaList([_Interruption(turn)]),
            **options,
        )
        return self._score(states, [self._plain(row.tolist()) for row in generated], task)

    def _plain(self, tokens: list[int]) -> list[int]:
        """Drop what is not text: special tokens, and the prompt, which some versions return."""
        if self._tokens.no_timestamps in tokens:
            tokens = tokens[tokens.index(self._tokens.no_timestamps) + 1 :]
        return [token for token in tokens if token < self._tokens.end]

    def _score(
        self, states: torch.Tensor, sequences: list[list[int]], task: DecodingOptions
    ) -> list[DecodingResult]:
        """Return the texts with the probabilities that the model gives their tokens."""
        begun = len(task.before) + len(task.prefix)
        longest = max(len(tokens) for tokens in sequences)
        rows = [
            [*task.before, *task.prefix, *tokens]
            + [self._tokens.end] * (longest - len(tokens) + 1)
            for tokens in sequences
        ]
        attention = _Attention(self._model, states, self._heads if task.follow else {})
        with attention:
            logits = self.logits(states, rows).float()
        silence = logits[:, len(task.before)].softmax(-1)[:, self._tokens.no_speech].tolist()
        chosen = torch.tensor([row[begun:] for row in rows], device=states.device)
        scores = logits[:, begun - 1 : -1].log_softmax(-1)
        scores = scores.gather(-1, chosen[..., None])[..., 0].tolist()
        decoded = []
        for row, tokens in enumerate(sequences):
            ended = len(tokens) < task.room
            followed = None
            if task.follow:
                followed = attention.of(row)[:, begun - 1 : begun + len(tokens)]
            decoded.append(
                DecodingResult(
                    tokens, scores[row][: len(tokens) + ended], silence[row], ended, followed
                )
            )
        return decoded

    def logits(self, states: torch.Tensor, tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the decoder's logits, shape (batch, tokens, vocabulary)."""
        hidden = self._model.get_decoder()(
            input_ids=torch.tensor(tokens, device=states.device),
            encoder_hidden_states=states,
            use_cache=False,
        ).last_hidden_state
        return self._model.proj_out(hidden)


class _Interruption(StoppingCriteria):
    """Lets a turn interrupt between two tokens."""

    def __init__(self, turn: JobContext) -> None:
        self._turn = turn

    def __call__(self, input_ids, scores, **kwargs) -> Any:
        self._turn.check()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


class _Attention:
    """Collects the decoder's attention to the audio in the heads that follow it.

    It listens to what goes into the attention layers, since their fast implementations do not
    return weights, and computes those of the few heads that matter.
    """

    def __init__(self, model: Any, states: torch.Tensor, heads: dict[int, list[int]]) -> None:
        self._layers = model.get_decoder().layers
        self._states = states
        self._heads = heads
        self._collected: list[torch.Tensor] = []
        self._hooks: list[Any] = []

    def __enter__(self) -> '_Attention':
        for layer, heads in self._heads.items():

            def collect(module, args, kwargs, heads=heads) -> None:
                hidden = kwargs['hidden_states'] if 'hidden_states' in kwargs else args[0]
                self._collected.append(self._logits(module, hidden, heads))

            attention = self._layers[layer].encoder_attn
            self._hooks.append(attention.register_forward_pre_hook(collect, with_kwargs=True))
        return self

    def __exit__(self, *_error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _logits(self, module: Any, hidden: torch.Tensor, heads: list[int]) -> torch.Tensor:
        """Return the attention's logits, shape (batch, heads, tokens, positions)."""

        def split(projected: torch.Tensor) -> torch.Tensor:
            shape = (*projected.shape[:2], module.num_heads, module.head_dim)
            return projected.view(shape)[:, :, heads].transpose(1, 2)

        queries = split(module.q_proj(hidden)) * module.head_dim**-0.5
        return queries @ split(module.k_proj(self._states)).transpose(-1, -2)

    def of(self, row: int) -> torch.Tensor:
        """Return one text's logits, shape (heads, tokens, positions)."""
        return torch.cat([each[row] for each in self._collected]).float()
