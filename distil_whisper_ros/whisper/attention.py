"""Multi-head attention: the split of vectors into heads, which encoder and decoder share."""

from typing import Any

import torch


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
