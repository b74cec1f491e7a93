"""What every way of decoding takes and returns."""

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class DecodingOptions:
    """What is to be decoded, and how."""

    before: list[int]
    """Tokens of the prompt, which may be none."""
    prefix: list[int]
    """Tokens that begin the text: start, language, task, no timestamps."""
    language: str
    """Empty for an English model."""
    name: str
    """Transcribe or translate."""
    room: int
    """Most tokens of the text."""
    beam_width: int
    follow: bool
    """Whether to return the attention to the audio."""
    doubt: bool = False
    """Whether to give up a text that is hopeless: it is decoded again with the whole window."""


@dataclass(frozen=True)
class DecodingResult:
    """A text as tokens, and what the model thinks of it."""

    tokens: list[int]
    log_probabilities: list[float]
    """Of each token, and of the end if it came."""
    no_speech_probability: float
    ended: bool
    """Whether the end came, before the room was used up."""
    attention: torch.Tensor | None
    """Logits of the attention to the audio, shape (heads, tokens + 1, positions): the rows that
    predict each token, and the end."""


def following_heads(model: Any) -> dict[int, list[int]]:
    """Return the heads of the decoder that follow the audio, by layer.

    Where the checkpoint does not name them, or names layers that a distilled model has not, these
    are all heads of the upper half, as in openai/whisper.
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
