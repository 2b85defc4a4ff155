r"""Masks of couplings: which numbers of an example stay, and tell how the others move.

A mask m of a parity 0 or 1 has $m = 1$ where numbers stay; the two parities are each other's
complement, so that layers which alternate between them move every number. `checkerboard`: pixels
whose coordinates sum to an odd number stay (on vectors, entries), or to an even one.
`channel_half`: the first half of the channels stays, or the second.

Sources: arXiv:1605.08803 §3.4 and fig. 3.
"""

import torch
from jaxtyping import Bool
from torch import Tensor


def checkerboard(shape: tuple[int, ...], parity: int) -> Bool[Tensor, "*shape"]:
    """Pixels or entries whose coordinates sum to an odd number stay, or to an even one."""
    axes = shape[1:] if len(shape) > 1 else shape
    sums = sum(torch.meshgrid(*map(torch.arange, axes), indexing="ij"), torch.tensor(parity))
    return (sums % 2 == 1).expand(shape).clone()


def channel_half(shape: tuple[int, ...], parity: int) -> Bool[Tensor, "*shape"]:
    """The first half of the channels stays, or the second."""
    first = torch.arange(shape[0]) < shape[0] // 2
    return (first ^ bool(parity)).view(-1, *[1] * (len(shape) - 1)).expand(shape).clone()
