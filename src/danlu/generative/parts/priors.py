r"""Fixed priors over codes as generative models without parameters.

Gaussian: $\log p(z) = -\tfrac12 \sum_i (z_i^2 + \ln 2\pi)$. Logistic:
$\log p(z) = -\sum_i (\operatorname{softplus}(z_i) + \operatorname{softplus}(-z_i))$. Uniform ids:
$\log p(k) = -L \ln K$ for $L$ ids out of $K$, a probability.

Sources: arXiv:1312.6114; arXiv:1410.8516 eq. 8 (logistic).
"""

import math
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn
from torch.nn.functional import softplus
from typing_extensions import override

from danlu.contracts import (
    Batch,
    Bound,
    DanluError,
    DataDescription,
    Evidence,
    Losses,
    Measure,
    Progress,
)
from danlu.contracts.noise import Noise
from danlu.generative.base import GenerativeModel


class FactorisedPrior(GenerativeModel):
    """A fixed distribution that is a product over the numbers of a code.

    Attributes:
        measure: whether `log_density` gives densities or probabilities.
    """

    can = frozenset({"sample", "log_prob"})
    measure: ClassVar[Measure] = Measure.LEBESGUE

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {}

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        raise self.lacks("training")

    @abstractmethod
    def log_density(self, z: Num[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Log-density, or log-probability, of every number."""

    @override
    def evidence(self, x: Tensor, noise: Noise, condition: Any, options: Any) -> Evidence:
        value = self.log_density(x).flatten(1).sum(1)
        return Evidence(
            value=value,
            bound=Bound.EXACT,
            stderr=torch.zeros_like(value),
            evaluations=0,
            measure=self.measure,
            condition="none",
            dims=self.description.dims,
        )


class GaussianPrior(FactorisedPrior):
    """Independent standard normal numbers."""

    @override
    def log_density(self, z: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        return -0.5 * (z.square() + math.log(2 * math.pi))

    @override
    def draw(self, noise: Noise, n: int, condition: Any, options: Any) -> Tensor:
        return noise.normal(*self.description.shape)


class LogisticPrior(FactorisedPrior):
    """Independent standard logistic numbers."""

    @override
    def log_density(self, z: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        return -softplus(z) - softplus(-z)

    @override
    def draw(self, noise: Noise, n: int, condition: Any, options: Any) -> Tensor:
        u = noise.uniform(*self.description.shape).clamp(1e-7, 1 - 1e-7)
        return u.log() - (-u).log1p()


class UniformIds(FactorisedPrior):
    """Independent ids, each of the description's levels 0, 1, 2, ... equally likely."""

    measure = Measure.COUNTING

    def __init__(self, description: DataDescription) -> None:
        super().__init__(description)
        if description.levels is None:
            raise DanluError("uniform ids need a number of levels")
        self.levels = description.levels

    @override
    def log_density(self, z: Num[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        return torch.full(z.shape, -math.log(self.levels), device=z.device)

    @override
    def draw(self, noise: Noise, n: int, condition: Any, options: Any) -> Int[Tensor, "n ..."]:
        u = noise.uniform(*self.description.shape)
        return (u * self.levels).long().clamp(max=self.levels - 1)
