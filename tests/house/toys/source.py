r"""Wide Gaussian: one normal distribution in the plane, twice as wide as high.

$p(x) = \frac{1}{4\pi} e^{-x_1^2/8 - x_2^2/2}$, the easiest data there is: whoever fails here has a
mistake rather than a weakness.

Source: any book on statistics.
"""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from typing_extensions import override

from danlu.data.densities.density import Density, normal


class ToyDensity(Density):
    """One normal distribution of standard deviations 2 and 1."""

    reach = 16.0

    @override
    def draw(self, n: int, generator: torch.Generator) -> Float64[Tensor, "n 2"]:
        return normal(n, generator) * torch.tensor([2.0, 1.0], dtype=torch.float64)

    @override
    def log_density(self, x: Float[Tensor, "batch 2"]) -> Float64[Tensor, " batch"]:
        across, up = x.double().unbind(1)
        return -(across**2) / 8 - up**2 / 2 - math.log(4 * math.pi)
