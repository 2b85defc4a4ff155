r"""Normal numbers that are a function of a seed and an index, made of tensor operations alone.

A generator cannot be part of a graph that is compiled or exported; these numbers can. An integer
hash of seed and index gives two uniform numbers, and the Box-Muller map a normal one:
$\sqrt{-2 \ln u_1} \cos(2 \pi u_2)$. They serve random projections, not statistics.

Sources: G. E. P. Box and M. E. Muller (1958).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

_BITS = 31
_MASK = (1 << _BITS) - 1
_FACTORS = (0x2C1B3C6D, 0x297A2D39, 0x1B873593)
"""Odd and below 2^31, so that no product leaves 64 bits."""


def seeded_normal(seed: int, *shape: int, like: Tensor) -> Float[Tensor, "..."]:
    """Standard normal numbers of a shape, of the type and on the device of `like`."""
    index = torch.arange(2 * math.prod(shape), device=like.device)
    mixed = index ^ _hashed_seed(seed)
    for factor in _FACTORS:
        mixed = ((mixed ^ (mixed >> 15)) * factor) & _MASK
        mixed = mixed ^ (mixed >> 13)
    wide = torch.promote_types(like.dtype, torch.float32)
    first, second = ((mixed.to(wide) + 0.5) / (_MASK + 1)).clamp(max=1 - 1e-7).chunk(2)
    normal = (-2 * first.log()).sqrt() * (2 * math.pi * second).cos()
    return normal.reshape(shape).to(like.dtype)


def _hashed_seed(seed: int) -> int:
    value = (seed * 0x9E3779B97F4A7C15 + 0x7F4A7C15) % (1 << 64)
    return (value ^ (value >> 32)) & _MASK
