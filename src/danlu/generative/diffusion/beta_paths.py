r"""Paths given by a rate of forgetting $\beta(t)$, by which $\alpha = e^{-B/2}$, $B = \int\beta$.

- Variance-preserving: $\sigma^2 = 1 - e^{-B}$, so that data of unit variance keeps it. *Linear*:
  $\beta = 0.1 + 19.9 t$, the limit of the first diffusion models. *Cosine*:
  $\alpha = \cos(\tfrac\pi2\tfrac{t+s}{1+s})/\cos(\tfrac\pi2\tfrac s{1+s})$ with s = 0.008, which
  destroys the data more slowly.
- Sub-variance-preserving: $\sigma = 1 - e^{-B}$, less noise at every time; made for likelihoods.

As diffusions both have $f = -\beta/2$; $g^2$ is $\beta$, and $\beta(1 - e^{-2B})$ for the second.

Sources: arXiv:2011.13456 eq. 11 and 29 (linear, sub-VP), arXiv:2102.09672 eq. 17 (cosine).
"""

import math
from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.generative.diffusion.paths import Path

BETA_FIRST, BETA_LAST = 0.1, 20.0
COSINE_OFFSET = 0.008


class VariancePreserving(Path):
    """Signal and noise whose squared coefficients sum to 1."""

    @abstractmethod
    def beta(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The rate of forgetting."""

    @abstractmethod
    def forgotten(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Its integral from time 0."""

    @abstractmethod
    def when(self, forgotten: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The times at which the integral has the given values."""

    @override
    def coefficients(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        forgotten = self.forgotten(t)
        # At time 0 a hair of noise is left, so that what has a limit there takes it: the rate of
        # sigma is infinite, its product with sigma is not.
        variance = (-(-forgotten).expm1()).clamp(min=torch.finfo(forgotten.dtype).tiny)
        return (-forgotten / 2).exp(), variance.sqrt()

    @override
    def rates(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        alpha, sigma = self.coefficients(t)
        beta = self.beta(t)
        return -beta / 2 * alpha, beta / 2 * alpha.square() / sigma

    @override
    def times(self, level: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return self.when(level.square().log1p())


class LinearBeta(VariancePreserving):
    """Variance-preserving with a rate that grows linearly."""

    latest = 1.0

    @override
    def beta(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return BETA_FIRST + (BETA_LAST - BETA_FIRST) * t

    @override
    def forgotten(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return t * (BETA_FIRST + (BETA_LAST - BETA_FIRST) / 2 * t)

    @override
    def when(self, forgotten: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        # The root in the form that loses no digits near 0.
        root = (BETA_FIRST**2 + 2 * (BETA_LAST - BETA_FIRST) * forgotten).sqrt()
        return 2 * forgotten / (BETA_FIRST + root)


class CosineBeta(VariancePreserving):
    """Variance-preserving along a cosine, slow at both ends."""

    @override
    def beta(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return math.pi / (1 + COSINE_OFFSET) * self._angle(t).tan()

    @override
    def forgotten(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return 2 * (math.log(math.cos(self._first())) - self._angle(t).cos().log())

    @override
    def when(self, forgotten: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        # The half-angle form keeps its digits where the cosine is near 1.
        first = self._first()
        shrink = (-forgotten / 2).expm1()  # cos(angle)/cos(first) - 1
        below = math.sin(first / 2) ** 2 - math.cos(first) / 2 * shrink
        angle = 2 * below.sqrt().asin()
        return angle * (2 / math.pi) * (1 + COSINE_OFFSET) - COSINE_OFFSET

    def _first(self) -> float:
        return math.pi / 2 * COSINE_OFFSET / (1 + COSINE_OFFSET)

    def _angle(self, t: Tensor) -> Tensor:
        return math.pi / 2 * (t + COSINE_OFFSET) / (1 + COSINE_OFFSET)


class SubVariancePreserving(LinearBeta):
    """The linear rate with the squared noise of the variance-preserving path as its noise."""

    earliest = 1e-2

    @override
    def coefficients(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        forgotten = self.forgotten(t)
        return (-forgotten / 2).exp(), -(-forgotten).expm1()

    @override
    def rates(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        alpha, _ = self.coefficients(t)
        beta = self.beta(t)
        return -beta / 2 * alpha, beta * alpha.square()

    @override
    def times(self, level: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return self.when(2 * (level / 2).asinh())
