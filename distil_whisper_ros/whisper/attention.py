"""Multi-head attention: the split of vectors into heads, and two ways to compute it."""

from collections.abc import Callable
import math
from typing import Any

import torch
from torch.nn import functional

Attention = Callable[..., torch.Tensor]
"""Called with queries, keys and values of shape (batch, heads, length, width), a mask that is
added to the logits, or None, and whether it is causal; returns the shape of the queries."""


def fused_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None = None,
    is_causal: bool = False,
) -> torch.Tensor:
    """Compute attention by the kernel that PyTorch chooses for this device."""
    return functional.scaled_dot_product_attention(query, key, value, mask, is_causal=is_causal)


def math_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None = None,
    is_causal: bool = False,
) -> torch.Tensor:
    """Compute attention by plain products, for a GPU whose fused kernels are wrong or missing."""
    logits = (query / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)
    if is_causal:
        mask = causal_mask(query.shape[2], 0, query)
    if mask is not None:
        logits = logits + mask
    return logits.float().softmax(-1).to(value.dtype) @ value


ATTENTION: dict[str, Attention] = {
    'auto': fused_attention,
    'sdpa': fused_attention,
    'math': math_attention,
}


def causal_mask(count: int, begin: int, like: torch.Tensor) -> torch.Tensor:
    """Return the mask of `count` tokens that come after `begin` others.

    Its shape is (count, begin + count); device and precision are those of `like`.
    """
    return like.new_full((count, begin + count), -math.inf).triu(begin + 1)


class Heads:
    """Split vectors into attention heads, and join the heads again."""

    def __init__(self, attention: Any) -> None:
        """Take the number of heads and their width from a layer's attention."""
        self.count, self.width = attention.num_heads, attention.head_dim

    def split(self, x: torch.Tensor, parts: int) -> tuple[torch.Tensor, ...]:
        """Split stacked projections, such as queries, keys and values.

        `x` has the shape (batch, length, parts * heads * width). Returns `parts` tensors of shape
        (batch, heads, length, width).
        """
        shaped = x.view(*x.shape[:2], parts, self.count, self.width)
        return shaped.permute(2, 0, 3, 1, 4).unbind(0)

    def join(self, x: torch.Tensor) -> torch.Tensor:
        """Concatenate heads: (batch, heads, length, width) to (batch, length, heads * width)."""
        return x.transpose(1, 2).flatten(2)
