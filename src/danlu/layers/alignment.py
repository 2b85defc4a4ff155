"""Rows with padding, moved so that their tokens stand at the end.

A layer that is linear and starts from nothing may then run over the padding, which is zero, as
over any token. Order among the tokens is kept.
"""

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor


def to_the_end(
    valid: Bool[Tensor, "batch length"],
) -> tuple[Int[Tensor, "batch length"], Int[Tensor, "batch length"]]:
    """The index of what stands in each cell when padding goes first, and the way back."""
    index = valid.int().argsort(dim=1, stable=True)
    return index, index.argsort(dim=1)


def moved(
    x: Shaped[Tensor, "batch length dim"], index: Int[Tensor, "batch length"]
) -> Shaped[Tensor, "batch length dim"]:
    """Each row in another order."""
    return x.gather(1, index[..., None].expand_as(x))


def zeroed(
    x: Shaped[Tensor, "batch length dim"], valid: Bool[Tensor, "batch length"]
) -> Shaped[Tensor, "batch length dim"]:
    """Zeros on the padding, whatever stood there."""
    return torch.where(valid[..., None], x, 0.0)
