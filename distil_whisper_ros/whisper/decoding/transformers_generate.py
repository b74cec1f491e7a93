"""Decoding with transformers' own generation: for what the other decoders do not cover."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutput

from ...core.scheduler import JobContext
from ..special_tokens import SpecialTokens
from .fallback import is_endless
from .types import DecodingOptions, DecodingResult

RESERVED = 8  # positions for the tokens that begin the text


class TransformersDecoder:
    """Decode with `model.generate`, and score the finished text with one pass of the decoder.

    The pass does not depend on how a version of transformers returns scores from `generate`, and
    its first position has the no-speech probability, as in openai/whisper's `decoding.py`.
    """

    def __init__(self, model: Any, special: SpecialTokens, heads: dict[int, list[int]]) -> None:
        """Use `model`; `heads` are the alignment heads, as layer: heads."""
        self._model = model
        self._special = special
        self._alignment_heads = heads

    def decode(
        self, states: torch.Tensor, options: DecodingOptions, context: JobContext
    ) -> list[DecodingResult]:
        """Decode encoder states of shape (batch, positions, d_model); raise JobAborted."""
        arguments: dict[str, Any] = {}
        if options.language:
            arguments |= {'language': options.language, 'task': options.task}
        if options.prompt:
            arguments['prompt_ids'] = torch.tensor(options.prompt, device=states.device)
        # Prompt and text share the decoder's positions.
        left = self._model.config.max_target_positions - RESERVED - len(options.prompt)
        max_tokens = max(1, min(options.max_tokens, left))
        begin = len(options.prompt) + len(options.prefix)
        generated = self._model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            max_new_tokens=max_tokens,
            num_beams=options.beam_width,
            do_sample=False,
            return_timestamps=False,
            stopping_criteria=StoppingCriteriaList([_StopCriteria(context, begin)]),
            **arguments,
        )
        texts = [self._text_tokens(row.tolist()) for row in generated]
        return self._score(states, texts, options, max_tokens)

    def _text_tokens(self, tokens: list[int]) -> list[int]:
        """Remove special tokens, and the prompt, which some versions return too."""
        if self._special.no_timestamps in tokens:
            tokens = tokens[tokens.index(self._special.no_timestamps) + 1 :]
        return [tokens[index] for index in self._special.text_positions(tokens)]

    def _score(
        self,
        states: torch.Tensor,
        texts: list[list[int]],
        options: DecodingOptions,
        max_tokens: int,
    ) -> list[DecodingResult]:
        """Return the texts with the probabilities that the model gives their tokens."""
        begin = len(options.prompt) + len(options.prefix)
        longest = max(len(tokens) for tokens in texts)
        rows = [
            [*options.prompt, *options.prefix, *tokens]
            + [self._special.end] * (longest - len(tokens) + 1)
            for tokens in texts
        ]
        heads = self._alignment_heads if options.return_attention else {}
        recorder = _AttentionRecorder(self._model, states, heads)
        with recorder:
            logits = self.logits(states, rows).float()
        no_speech = logits[:, len(options.prompt)].softmax(-1)[:, self._special.no_speech].tolist()
        chosen = torch.tensor([row[begin:] for row in rows], device=states.device)
        scores = logits[:, begin - 1 : -1].log_softmax(-1)
        scores = scores.gather(-1, chosen[..., None])[..., 0].tolist()
        results = []
        for row, tokens in enumerate(texts):
            ended = len(tokens) < max_tokens and not is_endless(tokens)
            attention = None
            if options.return_attention:
                attention = recorder.logits(row)[:, begin - 1 : begin + len(tokens)]
            results.append(
                DecodingResult(
                    tokens, scores[row][: len(tokens) + ended], no_speech[row], ended, attention
                )
            )
        return results

    def logits(self, states: torch.Tensor, tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the decoder's logits, shape (batch, tokens, vocabulary)."""
        hidden = self._model.get_decoder()(
            input_ids=torch.tensor(tokens, device=states.device),
            encoder_hidden_states=states,
            use_cache=False,
        ).last_hidden_state
        return self._model.proj_out(hidden)


class _StopCriteria(StoppingCriteria):
    """Let the scheduler abort between two tokens, and end loops."""

    def __init__(self, context: JobContext, begin: int) -> None:
        """`begin` is the number of tokens before the text."""
        self._context = context
        self._begin = begin

    def __call__(self, input_ids, scores, **kwargs) -> Any:
        self._context.check()
        stop = all(is_endless(row) for row in input_ids[:, self._begin :].tolist())
        return torch.full((len(input_ids),), stop, device=input_ids.device)


class _AttentionRecorder:
    """Record the attention of the alignment heads to the audio.

    The fast implementations of attention layers return no weights. So a hook takes the input of
    these layers, and computes the logits of the few heads that matter.
    """

    def __init__(self, model: Any, states: torch.Tensor, heads: dict[int, list[int]]) -> None:
        self._layers = model.get_decoder().layers
        self._states = states
        self._heads = heads
        self._recorded: list[torch.Tensor] = []
        self._hooks: list[Any] = []

    def __enter__(self) -> '_AttentionRecorder':
        for layer, heads in self._heads.items():

            def record(module, args, kwargs, heads=heads) -> None:
                hidden = kwargs['hidden_states'] if 'hidden_states' in kwargs else args[0]
                self._recorded.append(self._compute(module, hidden, heads))

            attention = self._layers[layer].encoder_attn
            self._hooks.append(attention.register_forward_pre_hook(record, with_kwargs=True))
        return self

    def __exit__(self, *_error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _compute(self, module: Any, hidden: torch.Tensor, heads: list[int]) -> torch.Tensor:
        """Return the logits of the attention, shape (batch, heads, tokens, positions)."""

        def split(projected: torch.Tensor) -> torch.Tensor:
            shape = (*projected.shape[:2], module.num_heads, module.head_dim)
            return projected.view(shape)[:, :, heads].transpose(1, 2)

        queries = split(module.q_proj(hidden)) * module.head_dim**-0.5
        return queries @ split(module.k_proj(self._states)).transpose(-1, -2)

    def logits(self, row: int) -> torch.Tensor:
        """Return the logits of one text, shape (heads, tokens, positions)."""
        return torch.cat([each[row] for each in self._recorded]).float()
