"""What encoder and decoder share: attention over several heads."""

from typing import Any

import torch


class Heads:
    """Splits vectors into those of an attention's heads, and joins them again."""

    def __init__(self, attention: Any) -> None:
        self.count, self.width = attention.num_heads, attention.head_dim

    def split(self, x: torch.Tensor, parts: int) -> tuple[torch.Tensor, ...]:
        """Return `parts` tensors of shape (batch, heads, length, width) out of one."""
        shaped = x.view(*x.shape[:2], parts, self.count, self.width)
        return shaped.permute(2, 0, 3, 1, 4).unbind(0)

    def join(self, x: torch.Tensor) -> torch.Tensor:
        """Return heads side by side: the inverse of `split`."""
        return x.transpose(1, 2).flatten(2)
