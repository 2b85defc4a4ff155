r"""Checkerboard: uniform on the eight dark squares of a 4 x 4 board.

$p(x) = 1/32$ on the squares of side 2 of $[-4, 4)^2$ whose column and row sum to an even number,
and 0 elsewhere: a smooth model must learn hard edges, and its samples off the board have
$\log p = -\infty$.

Sources: arXiv:1810.01367 (as a test of flows).
"""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from typing_extensions import override

from danlu.data.densities.density import Density


class Checkerboard(Density):
    """Uniform on eight squares."""

    reach = 4.0

    @override
    def draw(self, n: int, generator: torch.Generator) -> Float64[Tensor, "n 2"]:
        column = torch.randint(4, (n,), generator=generator)
        row = 2 * torch.randint(2, (n,), generator=generator) + column % 2
        corner = 2 * torch.stack((column, row), dim=1) - 4
        return corner + 2 * torch.rand(n, 2, generator=generator, dtype=torch.float64)

    @override
    def log_density(self, x: Float[Tensor, "batch 2"]) -> Float64[Tensor, " batch"]:
        square = (x.double() / 2).floor()
        dark = (square.sum(1) % 2 == 0) & (square >= -2).all(1) & (square < 2).all(1)
        return square.new_full((len(x),), -math.log(32.0)).masked_fill(~dark, -math.inf)
