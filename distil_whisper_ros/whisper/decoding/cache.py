"""What decoding keeps from token to token."""

from dataclasses import dataclass

import torch


@dataclass
class DecoderCache:
    """The keys and values that decoding keeps from token to token, by layer."""

    self_keys: list[torch.Tensor]
    """Of the tokens, shape (batch, heads, maximum length, width)."""
    self_values: list[torch.Tensor]
    cross: list[tuple[torch.Tensor, torch.Tensor]]
    """Keys and values of the audio, shape (batch, heads, positions, width)."""
    cross_queries: list[list[torch.Tensor]]
    """Queries of the alignment heads at each step, shape (batch, heads, tokens, width)."""
    length: int = 0
    """Number of tokens in it."""

    def copy(self) -> 'DecoderCache':
        """Return a cache to go on with in another way; the audio's part is shared."""
        return DecoderCache(
            [each.clone() for each in self.self_keys],
            [each.clone() for each in self.self_values],
            self.cross,
            [[*each] for each in self.cross_queries],
            self.length,
        )

    def repeat(self, count: int) -> None:
        """Make `count` rows of each, for beams, which share the keys and values of the audio."""
        self.self_keys = [each.repeat_interleave(count, 0) for each in self.self_keys]
        self.self_values = [each.repeat_interleave(count, 0) for each in self.self_values]

    def reorder(self, rows: list[int]) -> None:
        """Let each row continue the text of another one: `rows` are their numbers."""
        moved = [row for row, other in enumerate(rows) if row != other]
        if not moved:
            return
        others = [rows[row] for row in moved]
        for each in (*self.self_keys, *self.self_values):
            each[moved, :, : self.length] = each[others, :, : self.length]

    def beginning(self, text: int, texts: int, length: int) -> 'DecoderCache':
        """Return the first `length` tokens of one of `texts` texts, as a cache of one row.

        Of the queries, only those that predict the next token are in it.
        """
        row = text * (len(self.self_keys[0]) // texts)
        return DecoderCache(
            [each[row : row + 1] for each in self.self_keys],
            [each[row : row + 1] for each in self.self_values],
            [(key[text : text + 1], value[text : text + 1]) for key, value in self.cross],
            [
                [each[text : text + 1, :, -1:] for each in layer[:1]]
                for layer in self.cross_queries
            ],
            length,
        )

    def pick(self, rows: list[int], room: int) -> None:
        """Keep these rows, in this order, each with room for `room` tokens more."""
        for kept in (self.self_keys, self.self_values):
            for layer, each in enumerate(kept):
                heads, width = each.shape[1], each.shape[3]
                kept[layer] = each.new_empty((len(rows), heads, self.length + room, width))
                kept[layer][:, :, : self.length] = each[rows, :, : self.length]
