r"""Normalisation of each token over its features.

`RMSNorm`: $y = g \odot x / \sqrt{\overline{x^2} + \epsilon}$. `LayerNorm`:
$y = g \odot (x - \bar x) / \sqrt{\operatorname{var} x + \epsilon} + b$. Both count their statistics
in float32 or wider, so that a stack in bfloat16 keeps its scale.

Sources: arXiv:1910.07467 eq. 4; arXiv:1607.06450 eq. 3.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import layer_norm

EPSILON = 1e-6

Norm = Callable[[int], nn.Module]
"""Makes the norm of a width."""


class RMSNorm(nn.Module):
    """Divides by the root mean square, of each group by itself, and scales by a gain."""

    def __init__(self, dim: int, *, groups: int = 1) -> None:
        super().__init__()
        self.groups = groups
        self.gain = nn.Parameter(torch.ones(dim))

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """The normalised tokens, in the type of x."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        by_group = wide.unflatten(-1, (self.groups, -1))
        scale = (by_group.square().mean(-1, keepdim=True) + EPSILON).rsqrt()
        return ((by_group * scale).flatten(-2) * self.gain).to(x.dtype)


class LayerNorm(nn.Module):
    """Takes the mean away, divides by the standard deviation, then a gain and a shift."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(dim))
        self.shift = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """The normalised tokens, in the type of x."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        gain, shift = self.gain.to(wide.dtype), self.shift.to(wide.dtype)
        return layer_norm(wide, gain.shape, gain, shift, EPSILON).to(x.dtype)


class HeadNorm(nn.Module):
    """Layer norm of each head by itself, then a gain and a shift of each feature.

    It is group normalisation of single tokens with a group for each head.
    """

    def __init__(self, dim: int, heads: int, *, epsilon: float = EPSILON) -> None:
        super().__init__()
        self.heads, self.epsilon = heads, epsilon
        self.gain = nn.Parameter(torch.ones(dim))
        self.shift = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """The normalised tokens, in the type of x."""
        by_head = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(-1, (self.heads, -1))
        y = layer_norm(by_head, by_head.shape[-1:], None, None, self.epsilon).flatten(-2)
        return (y * self.gain + self.shift).to(x.dtype)
