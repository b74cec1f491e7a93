"""Products with weights, in the model's own precision or in dynamic int8.

Dynamic: weights are int8 with a scale for each row, activations are rounded as they come. A
quarter of the bytes is read for a token, and that is what decoding waits for on a CPU.
"""

from collections.abc import Callable, Sequence
import platform
from typing import Any
import warnings

import torch
from torch.nn import functional

Product = Callable[[torch.Tensor], torch.Tensor]


def has_int8() -> bool:
    """Return whether this torch multiplies in int8 at all."""
    return any(engine != 'none' for engine in torch.backends.quantized.supported_engines)


def has_whole_int8() -> bool:
    """Return whether the processor multiplies all 8 bits of the activations.

    An x86 without VNNI adds pairs of products in 16 bits, which overflow, so that torch leaves
    the activations 7 bits there. That does for the decoder, but costs the encoder words.
    """
    vnni = getattr(torch.cpu, '_is_vnni_supported', lambda: False)
    return platform.machine().lower() not in ('x86_64', 'amd64') or vnni()


def product(layers: Sequence[Any], int8: bool) -> Product:
    """Return the product with the stacked weights of linear layers, plus their biases."""
    weight, bias = layers[0].weight, layers[0].bias
    if len(layers) > 1:
        weight = torch.cat([layer.weight for layer in layers])
        zero = weight.new_zeros(len(weight) // len(layers))
        bias = torch.cat([zero if layer.bias is None else layer.bias for layer in layers])
    if not int8:
        return lambda x: functional.linear(x, weight, bias)
    packed, seven_bits = pack(weight, bias), not has_whole_int8()
    return lambda x: torch.ops.quantized.linear_dynamic(x, packed, reduce_range=seven_bits)


def pack(weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
    """Return a weight in int8 as torch's kernels want it."""
    weight = weight.detach().float()
    scales = (weight.abs().amax(1) / 127).clamp_min(1e-8).double()
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    with warnings.catch_warnings():
        # torch warns of a successor, which has no such kernels yet.
        warnings.simplefilter('ignore')
        rounded = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
    return torch.ops.quantized.linear_prepack(rounded, None if bias is None else bias.float())
