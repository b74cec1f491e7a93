"""Our own pass through a Whisper's encoder: for any length of audio, on a CPU in int8 too.

transformers' encoder insists on 30 s. The first positions alone do as well, if there is silence
behind the speech: see `window.py`.
"""

from typing import Any

import torch
from torch.nn import functional

from .attention import Heads
from .quantization import product


class Encoder:
    """Encodes with the weights of a WhisperForConditionalGeneration."""

    def __init__(self, model: Any, int8: bool) -> None:
        encoder = model.get_encoder()
        self._encoder = encoder
        self._layers = [_Layer(layer, int8) for layer in encoder.layers]
        self._positions = encoder.embed_positions.weight

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Return the states, shape (batch, positions, width).

        `features` have the shape (batch, mel bands, frames): two frames make a position.
        """
        x = functional.gelu(self._encoder.conv1(features))
        x = functional.gelu(self._encoder.conv2(x)).transpose(1, 2)
        x = x + self._positions[: x.shape[1]]
        for layer in self._layers:
            x = layer(x)
        return self._encoder.layer_norm(x)


class _Layer:
    """One layer of the encoder."""

    def __init__(self, layer: Any, int8: bool) -> None:
        attention = layer.self_attn
        self._heads = Heads(attention)
        self._qkv = product((attention.q_proj, attention.k_proj, attention.v_proj), int8)
        self._out = product((attention.out_proj,), int8)
        self._up, self._down = product((layer.fc1,), int8), product((layer.fc2,), int8)
        self._norms = layer.self_attn_layer_norm, layer.final_layer_norm
        self._activation = layer.activation_fn

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self._heads.split(self._qkv(self._norms[0](x)), 3)
        attended = functional.scaled_dot_product_attention(query, key, value)
        x = x + self._out(self._heads.join(attended))
        return x + self._down(self._activation(self._up(self._norms[1](x))))
