"""The encoder of a Whisper for audio of any length up to 30 s, on a CPU in int8 too.

The encoder of transformers insists on 30 s. The first positions alone give the same text if
there is silence after the speech: see `audio_context.py`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn import functional

from .attention import Attention, fused_attention, Heads
from .quantization import fused_linear
from .threads import one_core_less

# As in transformers: float16 ends at 65504, and large models come near it between layers.
LARGEST = torch.finfo(torch.float16).max - 1000


class Encoder:
    """Encode with the weights of a WhisperForConditionalGeneration."""

    def __init__(
        self,
        model: Any,
        int8: bool,
        attention: Attention = fused_attention,
        release: bool = False,
    ) -> None:
        """Take the weights of `model`; with `int8`, quantize its linear layers.

        With `release` too, the encoder of `model` loses these weights, and cannot be used.
        """
        self.attention = attention
        self.shares_cores: Callable[[], bool] = bool
        """Tells whether something else computes beside, to which a core is left."""
        encoder = model.get_encoder()
        self._encoder = encoder
        self._layers = [_Layer(layer, int8, release) for layer in encoder.layers]
        self._positions = encoder.embed_positions.weight

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Return the encoder states, shape (batch, positions, d_model).

        `features` is a log-mel spectrogram of shape (batch, mel bands, frames); two frames make a
        position.
        """
        with self._free_cores():
            x = functional.gelu(self._encoder.conv1(features))
            x = functional.gelu(self._encoder.conv2(x)).transpose(1, 2)
            x = x + self._positions[: x.shape[1]]
        for layer in self._layers:
            with self._free_cores():  # what computes beside may have ended
                x = layer(x, self.attention)
            if x.dtype == torch.float16:
                x = x.clamp(-LARGEST, LARGEST)
        return self._encoder.layer_norm(x)

    def _free_cores(self) -> AbstractContextManager[None]:
        on_cpu = self._positions.device.type == 'cpu'
        return one_core_less() if on_cpu and self.shares_cores() else nullcontext()


class _Layer:
    """One layer of the encoder."""

    def __init__(self, layer: Any, int8: bool, release: bool) -> None:
        attention = layer.self_attn
        self._heads = Heads(attention)
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        self._qkv = fused_linear(projections, int8, release)
        self._out = fused_linear((attention.out_proj,), int8, release)
        self._fc1 = fused_linear((layer.fc1,), int8, release)
        self._fc2 = fused_linear((layer.fc2,), int8, release)
        self._attention_norm = layer.self_attn_layer_norm
        self._final_norm = layer.final_layer_norm
        self._activation = layer.activation_fn

    def __call__(self, x: torch.Tensor, attention: Attention) -> torch.Tensor:
        query, key, value = self._heads.split(self._qkv(self._attention_norm(x)), 3)
        x = x + self._out(self._heads.join(attention(query, key, value)))
        return x + self._fc2(self._activation(self._fc1(self._final_norm(x))))
