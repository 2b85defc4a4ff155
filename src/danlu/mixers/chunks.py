r"""Tokens in chunks of one size that begin with their sequence, wherever the sequence is cut.

Token number $i$ of a sequence stands in cell $i \bmod c$ of chunk $\lfloor i / c \rfloor$. After a
cut the cells of the unfinished chunk come from the state; padding is left out.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Chunks:
    """Where each token of padded rows goes; made by `chunks_of`.

    Attributes:
        size: cells of a chunk.
        number: chunks from the unfinished one on.
        slot: the cell of each token, counted from the unfinished chunk; padding goes beyond all.
        total: `[batch]` tokens from the start of the unfinished chunk on.
    """

    size: int
    number: int
    slot: Int[Tensor, "batch length"]
    total: Int[Tensor, " batch"]

    @property
    def present(self) -> Bool[Tensor, "batch chunks size"]:
        """Whether a cell holds a token."""
        cell = torch.arange(self.number * self.size, device=self.slot.device)
        return (cell < self.total[:, None]).unflatten(1, (self.number, self.size))

    def place(
        self,
        x: Num[Tensor, "batch length *axes"],
        carried: Num[Tensor, "batch size *axes"] | None = None,
    ) -> Num[Tensor, "batch chunks size *axes"]:
        """Tokens in their cells, behind those of the unfinished chunk; zeros elsewhere."""
        cells = self.number * self.size
        given = 0 if carried is None else self.size
        rest = x.new_zeros(len(x), cells + 1 - given, *x.shape[2:])
        rest = rest if carried is None else torch.cat([carried.to(x.dtype), rest], dim=1)
        filled = rest.scatter(1, self._index(self.slot, x), x)
        return filled[:, :cells].unflatten(1, (self.number, self.size))

    def read(
        self, y: Float[Tensor, "batch chunks size *axes"]
    ) -> Float[Tensor, "batch length *axes"]:
        """The tokens in their rows; some other cell stands in the padding."""
        flat = y.flatten(1, 2)
        slot = self.slot.clamp(max=self.number * self.size - 1)
        return flat.gather(1, self._index(slot, flat))

    def chunk(
        self, y: Num[Tensor, "batch chunks *axes"], index: Int[Tensor, " batch"]
    ) -> Num[Tensor, "batch *axes"]:
        """One chunk of each row; zeros behind the last."""
        padded = torch.cat([y, torch.zeros_like(y[:, :1])], dim=1)
        return padded[torch.arange(len(y), device=y.device), index]

    @property
    def finished(self) -> Int[Tensor, " batch"]:
        """How many chunks are full."""
        return self.total // self.size

    @staticmethod
    def _index(slot: Tensor, like: Tensor) -> Tensor:
        return slot.reshape(*slot.shape, *[1] * (like.ndim - 2)).expand(-1, -1, *like.shape[2:])


def chunks_of(
    x: Float[Tensor, "batch length dim"],
    valid: Bool[Tensor, "batch length"] | None,
    size: int,
    before: Int[Tensor, " batch"] | None = None,
) -> Chunks:
    """Chunks for tokens that follow on `before` others."""
    length = x.shape[1]
    held = torch.zeros(len(x), dtype=torch.long, device=x.device)
    held = held if before is None else before % size
    number = max(1, -(-(length + (0 if before is None else size - 1)) // size))
    if valid is None:
        slot = held[:, None] + torch.arange(length, device=x.device)
        return Chunks(size, number, slot, held + length)
    slot = held[:, None] + valid.cumsum(1) - 1
    return Chunks(size, number, slot.masked_fill(~valid, number * size), held + valid.sum(1))
