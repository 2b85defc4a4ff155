r"""A Gaussian with a full covariance, fitted by gradient.

$x = \mu + Lz$ with $z$ standard normal has the density of a Gaussian with mean $\mu$ and covariance
$LL^\top$; the loss is minus its logarithm, exact. It is the family to begin with: one screen long.

Source: any book on statistics.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import (
    Batch,
    Bound,
    Condition,
    DataDescription,
    Evidence,
    Losses,
    Measure,
    Progress,
)
from danlu.contracts.noise import Noise
from danlu.generative.base import GenerativeModel
from danlu.generative.recipe import Recipe, Recipes, Regime, plan_of
from danlu.generative.tiny import TINY


class ToyGaussian(GenerativeModel):
    """One Gaussian over all numbers of an example."""

    can = frozenset({"sample", "log_prob"})

    def __init__(self, description: DataDescription = TINY) -> None:
        super().__init__(description)
        self.mean = nn.Parameter(torch.zeros(description.dims))
        self.raw = nn.Parameter(torch.zeros(description.dims, description.dims))

    def normal(self) -> torch.distributions.MultivariateNormal:
        """The distribution."""
        factor = self.raw.tril(-1) + self.raw.diagonal().exp().diag()
        return torch.distributions.MultivariateNormal(self.mean, scale_tril=factor)

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"model": [self]}

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        return Losses.of(surprise=-self.normal().log_prob(batch.x.flatten(1)).mean())

    @override
    def draw(self, noise: Noise, n: int, condition: Condition | None, options: object) -> Tensor:
        x = self.mean + noise.normal(self.description.dims) @ self.normal().scale_tril.T
        return x.unflatten(1, self.description.shape)

    @override
    def evidence(
        self, x: Tensor, noise: Noise, condition: Condition | None, options: object
    ) -> Evidence:
        value, dims = self.normal().log_prob(x.flatten(1)), self.description.dims
        exactly = torch.zeros_like(value)
        return Evidence(value, Bound.EXACT, exactly, 0, Measure.LEBESGUE, "none", dims)


RECIPES: Recipes = {Regime.VECTOR: Recipe(plan=plan_of(64, 1e-2))}
