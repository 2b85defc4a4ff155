r"""Two moons: half circles that interlock, blurred by Gaussian noise.

$p(x) = \frac12 \sum_k \frac1\pi \int_0^\pi \mathcal N(x; c_k(t), \sigma^2 I)\,dt$ with the arcs
$c_1(t) = 2(\cos t - \tfrac12, \sin t - \tfrac14)$ and $c_2 = -c_1$, $\sigma = 0.2$. The integral
is taken by Gauss-Legendre quadrature with 128 nodes, exact to 1e-11 for $|x_i| \le 5$.

Sources: scikit-learn `make_moons` (the arcs, here centred and doubled).
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor
from typing_extensions import override

from danlu.data.densities.density import Density, direction, normal

SCALE = 0.2
NODES = 128


class TwoMoons(Density):
    """Two blurred half circles."""

    reach = 5.0

    def __init__(self, nodes: int = NODES) -> None:
        position, weight = np.polynomial.legendre.leggauss(nodes)
        angle = torch.from_numpy((position + 1) * math.pi / 2)
        self.points = torch.cat((upper := _upper(angle), -upper))
        self.log_weights = torch.from_numpy(np.log(np.tile(weight / 4, 2)))

    @override
    def draw(self, n: int, generator: torch.Generator) -> Float64[Tensor, "n 2"]:
        angle = math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
        sign = torch.randint(2, (n, 1), generator=generator) * 2 - 1
        return sign * _upper(angle) + SCALE * normal(n, generator)

    @override
    def log_density(self, x: Float[Tensor, "batch 2"]) -> Float64[Tensor, " batch"]:
        points, log_weights = self.points.to(x.device), self.log_weights.to(x.device)
        # One chunk holds 4,096 x 256 numbers: a million points need no more than 32 MB.
        parts = [
            torch.logsumexp(log_weights - _square(part, points) / (2 * SCALE**2), dim=1)
            for part in x.double().split(4096)
        ]
        return torch.cat(parts) - math.log(2 * math.pi * SCALE**2)


def _upper(angle: Float64[Tensor, " n"]) -> Float64[Tensor, "n 2"]:
    return 2 * (direction(angle) - torch.tensor([0.5, 0.25], dtype=torch.float64))


def _square(
    x: Float64[Tensor, "batch 2"], points: Float64[Tensor, "points 2"]
) -> Float64[Tensor, "batch points"]:
    across, up = (x[:, None, axis] - points[:, axis] for axis in (0, 1))
    return across.square().addcmul_(up, up)
