"""The options and the result that all decoders share."""

from dataclasses import dataclass
from typing import Any

import torch

from .hotwords import Hotwords


@dataclass(frozen=True)
class DecodingOptions:
    """How to decode."""

    prompt: list[int]
    """Tokens of the prompt; empty without one."""
    prefix: list[int]
    """Tokens that begin the text: start, language, task, no timestamps."""
    language: str
    """Language code; empty for an English model."""
    task: str
    """transcribe or translate."""
    max_tokens: int
    """Maximum number of tokens of the text; the decoder may hold fewer."""
    beam_width: int
    """1 is greedy decoding; 0 is greedy decoding, and a beam search where its text is in doubt."""
    return_attention: bool
    """Whether to return the attention to the audio, for word timestamps."""
    give_up_early: bool = False
    """Whether to stop at a text that looks like a failure, since it is decoded again with the
    full audio context."""
    hotwords: Hotwords | None = None
    """Words that get a bonus beside a beam search."""


@dataclass(frozen=True)
class DecodingResult:
    """The tokens of a text, with their probabilities."""

    tokens: list[int]
    log_probabilities: list[float]
    """Of each token, and of the end token if it came."""
    no_speech_probability: float
    ended: bool
    """Whether the end token came within the maximum number of tokens."""
    attention: torch.Tensor | None
    """Logits of the attention to the audio, shape (heads, tokens + 1, positions): the rows that
    predict each token, and the end token."""
    phrases: dict[str, float] | None = None
    """Log probabilities of the phrases that are likely enough, given the audio."""
    searched: bool = False
    """Whether the text was in doubt, so that a beam search decoded it again."""


def alignment_heads(model: Any) -> dict[int, list[int]]:
    """Return the decoder's heads whose attention follows the audio, as layer: heads.

    Where the generation config does not name them, or names layers that a distilled model does not
    have, they are all heads of the upper half of the layers, as in openai/whisper's `model.py`.
    """
    layers = len(model.get_decoder().layers)
    named = getattr(model.generation_config, 'alignment_heads', None) or []
    if not named or any(layer >= layers for layer, _ in named):
        count = range(model.config.decoder_attention_heads)
        named = [(layer, head) for layer in range(layers // 2, layers) for head in count]
    heads: dict[int, list[int]] = {}
    for layer, head in named:
        heads.setdefault(layer, []).append(head)
    return heads
