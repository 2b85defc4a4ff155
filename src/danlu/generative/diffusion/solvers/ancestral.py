r"""Ancestral sampling: the reverse chain of a discrete diffusion, one Gaussian step at a time.

Given clean data, $y_s$ between $y_t$ and the data is Gaussian; the chain puts D for the data:

$y_s = D + \frac{\hat\sigma_s^2}{\hat\sigma_t^2}(y_t - D) + \sqrt{v}\,z$.

- small: $v = \frac{\hat\sigma_s^2}{\hat\sigma_t^2}(\hat\sigma_t^2 - \hat\sigma_s^2)$, the variance
  given the data; right when the data is one point, and equal to DDIM with $\eta = 1$.
- large: $v = \frac{\alpha_t^2}{\alpha_s^2}(\hat\sigma_t^2 - \hat\sigma_s^2)$, the variance of the
  forward step; right when the data is white noise. In the state of the variance-preserving path
  these are DDPM's $\tilde\beta_t$ and $\beta_t$.
- a share u of the way from small to large in the logarithm, a number for each of the state, as a
  network may predict it.

Sources: arXiv:2006.11239 eq. 6, 7 and §3.2; arXiv:2102.09672 eq. 15 (the share);
kexue.fm/archives/9119.
"""

import math
from collections.abc import Callable
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import unknown
from danlu.contracts.noise import Noise
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.solvers.solver import Memory, Solver

VARIANCES = ("small", "large")

Shares = Callable[[Float[Tensor, "batch ..."], float], Float[Tensor, "batch ..."]]
"""(state, level) -> shares from the small to the large variance; asked after the denoiser."""


def given_data(level: float, level_next: float) -> tuple[float, float]:
    """Of the state at the next level given data and state: weight of the state, and variance."""
    weight = (level_next / level) ** 2
    return weight, weight * (level**2 - level_next**2)


def forward_variance(level: float, level_next: float) -> float:
    """The variance of the forward step on the variance-preserving path, over alpha squared."""
    return (1 + level_next**2) / (1 + level**2) * (level**2 - level_next**2)


class Ancestral(Solver):
    """The reverse chain with one of its two fixed variances, or with one between them."""

    order: ClassVar[int | None] = None

    def __init__(self, variance: str = "small", shares: Shares | None = None) -> None:
        if variance not in VARIANCES:
            raise unknown("variance", variance, VARIANCES)
        self.variance = variance
        self.shares = shares

    @override
    def step(
        self,
        denoise: Denoiser,
        y: Float[Tensor, "batch ..."],
        level: float,
        level_next: float,
        noise: Noise,
        memory: Memory,
    ) -> tuple[Float[Tensor, "batch ..."], Memory]:
        data = denoise(y, level)
        weight, small = given_data(level, level_next)
        large = forward_variance(level, level_next)
        std: float | Tensor = math.sqrt(large if self.variance == "large" else small)
        if self.shares is not None:
            std = math.sqrt(small) * (self.shares(y, level) * math.log(large / small) / 2).exp()
        return data + weight * (y - data) + std * noise.normal(*y.shape[1:]), None
