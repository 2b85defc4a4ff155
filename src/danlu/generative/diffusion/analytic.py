r"""Exact denoisers of known laws: a test bed for paths, samplers, grids and guidance.

For a mixture $\sum_k \pi_k N(\mu_k, s_k^2 I)$ the noisy law at level $\hat\sigma$ is the mixture
with variances $s_k^2 + \hat\sigma^2$, and by Bayes' rule

$D(y, \hat\sigma) = \sum_k r_k(y)\,\Big(\mu_k + \frac{s_k^2}{s_k^2 + \hat\sigma^2}(y - \mu_k)\Big)$

with responsibilities $r_k$. Tweedie's formula $D = y + \hat\sigma^2 \nabla\log p(y)$ checks it.

Sources: arXiv:2206.00364 app. B.3; Efron 2011 (Tweedie's formula).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


class MixtureDenoiser:
    """The exact denoiser of a mixture of isotropic Gaussians, and its log-densities."""

    def __init__(
        self,
        means: Float[Tensor, "components dim"],
        stds: Float[Tensor, " components"],
        weights: Float[Tensor, " components"],
    ) -> None:
        self.means = means
        self.variances = stds.square()
        self.log_weights = (weights / weights.sum()).log()

    def __call__(self, y: Float[Tensor, "batch dim"], level: float) -> Float[Tensor, "batch dim"]:
        """E[x0 | y] at a noise level."""
        shares = self._joint(y, level).softmax(-1)  # [batch, components]
        shrink = self.variances / (self.variances + level**2)
        posterior = self.means + shrink[:, None] * (y[:, None] - self.means)
        return (shares[..., None] * posterior).sum(1)

    def log_density(
        self, y: Float[Tensor, "batch dim"], level: float = 0.0
    ) -> Float[Tensor, " batch"]:
        """Log-density of the data plus noise of the given level."""
        return self._joint(y, level).logsumexp(-1)

    def only(self, component: int) -> "MixtureDenoiser":
        """The denoiser of one component: the law conditioned on its class."""
        one = slice(component, component + 1)
        return MixtureDenoiser(
            self.means[one], self.variances[one].sqrt(), self.log_weights[one].exp()
        )

    def _joint(self, y: Tensor, level: float) -> Tensor:
        variance = self.variances + level**2
        square = (y[:, None] - self.means).square().sum(-1)
        normaliser = 0.5 * y.shape[1] * (2 * math.pi * variance).log()
        return self.log_weights - 0.5 * square / variance - normaliser


def two_dimensional() -> MixtureDenoiser:
    """The mixture that the laws use: three unequal components in the plane, float64."""
    return MixtureDenoiser(
        torch.tensor([[1.0, 0.5], [-1.0, 1.0], [0.2, -1.2]], dtype=torch.float64),
        torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64),
        torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
    )
