r"""Rings: four concentric circles, blurred by Gaussian noise.

A point is $R_k e(\theta) + \sigma\varepsilon$ with $R_k \in \{0.9, 1.8, 2.7, 3.6\}$ equally
likely, $\theta$ uniform and $\sigma = 0.1$. Integrating over the angle gives the Bessel function
$I_0$: $p(x) = \frac14 \sum_k \frac{1}{2\pi\sigma^2} e^{-(r - R_k)^2 / 2\sigma^2}\,
e^{-a_k} I_0(a_k)$ with $r = |x|$, $a_k = r R_k/\sigma^2$.

Sources: arXiv:1810.01367 (the shape); the blurred circle is the Rice distribution.
"""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from typing_extensions import override

from danlu.data.densities.density import Density, direction, normal

RADII = (0.9, 1.8, 2.7, 3.6)
SCALE = 0.1


class Rings(Density):
    """Four blurred circles."""

    reach = 4.5

    @override
    def draw(self, n: int, generator: torch.Generator) -> Float64[Tensor, "n 2"]:
        which = torch.randint(len(RADII), (n, 1), generator=generator)
        radius = torch.tensor(RADII, dtype=torch.float64)[which]
        angle = 2 * math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
        return radius * direction(angle) + SCALE * normal(n, generator)

    @override
    def log_density(self, x: Float[Tensor, "batch 2"]) -> Float64[Tensor, " batch"]:
        r = x.double().norm(dim=1, keepdim=True)
        radius = r.new_tensor(RADII)
        bend = torch.special.i0e(r * radius / SCALE**2).log()
        exponent = bend - (r - radius).square() / (2 * SCALE**2)
        return torch.logsumexp(exponent, dim=1) - math.log(2 * math.pi * SCALE**2 * len(RADII))
