"""Linear layers in the model's own precision or in dynamic int8.

Dynamic quantization: weights are int8 with a scale for each row, and activations are quantized as
they come. Decoding on a CPU is limited by reading the weights, and int8 reads a quarter of the
bytes.
"""

from collections.abc import Callable, Sequence
import platform
from typing import Any
import warnings

import torch
from torch.nn import functional

Linear = Callable[[torch.Tensor], torch.Tensor]


def has_int8() -> bool:
    """Return whether this PyTorch build has int8 kernels."""
    return any(engine != 'none' for engine in torch.backends.quantized.supported_engines)


def has_full_int8() -> bool:
    """Return whether the processor can multiply activations of all 8 bits.

    An x86 processor without VNNI adds pairs of products in 16 bits, which overflow, so PyTorch
    reduces the activations to 7 bits there. The decoder tolerates that; the encoder loses words.
    """
    vnni = getattr(torch.cpu, '_is_vnni_supported', lambda: False)
    return platform.machine().lower() not in ('x86_64', 'amd64') or vnni()


def fused_linear(layers: Sequence[Any], int8: bool, release: bool = False) -> Linear:
    """Return one linear function with the stacked weights and biases of linear layers.

    It maps (..., inputs) to (..., sum of the layers' outputs). There is one copy of the weights:
    those of the layers become parts of the stacked ones. With `release` and int8 the layers lose
    their weights, and cannot be used any more.
    """
    weight, bias = layers[0].weight.detach(), layers[0].bias
    if len(layers) > 1:
        weight = torch.cat([layer.weight.detach() for layer in layers])
        if not int8:
            for layer, part in zip(layers, weight.chunk(len(layers))):
                layer.weight.data = part
        zero = weight.new_zeros(len(weight) // len(layers))
        bias = torch.cat([zero if layer.bias is None else layer.bias for layer in layers])
    if not int8:
        return lambda x: functional.linear(x, weight, bias)
    packed, reduced = pack(weight, bias), not has_full_int8()
    if release:
        for layer in layers:
            layer.weight.data = layer.weight.new_empty(0)
    return lambda x: torch.ops.quantized.linear_dynamic(x, packed, reduce_range=reduced)


def pack(weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
    """Quantize a weight, shape (outputs, inputs), and pack it for PyTorch's int8 kernels."""
    weight = weight.detach().float()
    low, high = weight.aminmax(dim=1)  # absolute values would be another copy
    scales = (torch.maximum(-low, high) / 127).clamp_min(1e-8).double()
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    with warnings.catch_warnings():
        # PyTorch announces a successor that does not have these kernels yet.
        warnings.simplefilter('ignore')
        rounded = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
    return torch.ops.quantized.linear_prepack(rounded, None if bias is None else bias.float())
