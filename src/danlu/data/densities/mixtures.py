r"""Equal mixtures of well-separated Gaussians: the test of mode coverage.

$p(x) = \frac1K \sum_k \mathcal N(x; \mu_k, \sigma^2 I)$. Eight Gaussians stand on a circle of
radius 3 with $\sigma = 0.25$; the grid has 5 x 5 centres, 1.5 apart, with $\sigma = 0.1$.

Sources: arXiv:1611.02163 (eight Gaussians); arXiv:1606.00704 (the grid of 25).
"""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from typing_extensions import override

from danlu.data.densities.density import Density, direction, normal


class GaussianMixture(Density):
    """An equal mixture of Gaussians of one scale."""

    modes: Float64[Tensor, "modes 2"]
    mode_scale: float

    @override
    def draw(self, n: int, generator: torch.Generator) -> Float64[Tensor, "n 2"]:
        which = torch.randint(len(self.modes), (n,), generator=generator)
        return self.modes[which] + self.mode_scale * normal(n, generator)

    @override
    def log_density(self, x: Float[Tensor, "batch 2"]) -> Float64[Tensor, " batch"]:
        variance = self.mode_scale**2
        square = (x.double()[:, None] - self.modes.to(x.device)).square().sum(-1)
        log_normaliser = math.log(2 * math.pi * variance * len(self.modes))
        return torch.logsumexp(-square / (2 * variance), dim=1) - log_normaliser


class EightGaussians(GaussianMixture):
    """Eight Gaussians on a circle."""

    reach = 5.0
    mode_scale = 0.25

    def __init__(self) -> None:
        self.modes = 3 * direction(torch.arange(8, dtype=torch.float64) * math.pi / 4)


class GaussianGrid(GaussianMixture):
    """Twenty-five Gaussians on a square grid."""

    reach = 4.0
    mode_scale = 0.1

    def __init__(self) -> None:
        side = torch.arange(-2, 3, dtype=torch.float64) * 1.5
        self.modes = torch.cartesian_prod(side, side)
