r"""Exact denoisers of known laws: a test bed for paths, solvers, grids and guidance.

Each answers $D(y, \hat\sigma) = E[x_0 | y]$ in closed form, at one noise level or one for each row.

- A Gaussian $N(\mu, \Sigma)$: $D = \mu + \Sigma(\Sigma + \hat\sigma^2 I)^{-1}(y - \mu)$.
- A mixture $\sum_k \pi_k N(\mu_k, s_k^2 I)$, by Bayes' rule:
  $D = \sum_k r_k(y)\,\big(\mu_k + \frac{s_k^2}{s_k^2 + \hat\sigma^2}(y - \mu_k)\big)$ with
  responsibilities $r_k$.
- A finite data set, the mixture of points: $D = \sum_k \text{softmax}_k(-\|y -
  x_k\|^2/2\hat\sigma^2)\,x_k$, which is what a network that only remembers would learn.

Tweedie's formula $D = y + \hat\sigma^2 \nabla\log p(y)$ checks them.

Sources: arXiv:2206.00364 app. B.3; Efron 2011 (Tweedie's formula).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

Level = float | Float[Tensor, " batch"]


class GaussianDenoiser:
    """The exact denoiser of a Gaussian with any covariance, and its log-densities."""

    def __init__(self, mean: Float[Tensor, " dim"], covariance: Float[Tensor, "dim dim"]) -> None:
        self.mean = mean
        self.variances, self.axes = torch.linalg.eigh(covariance)

    def __call__(self, y: Float[Tensor, "batch dim"], level: Level) -> Float[Tensor, "batch dim"]:
        """E[x0 | y] at a noise level."""
        shrink = self.variances / (self.variances + _column(level) ** 2)
        return self.mean + ((y - self.mean) @ self.axes * shrink) @ self.axes.T

    def log_density(
        self, y: Float[Tensor, "batch dim"], level: float = 0.0
    ) -> Float[Tensor, " batch"]:
        """Log-density of the data plus noise of the given level."""
        variance = self.variances + level**2
        square = ((y - self.mean) @ self.axes).square() / variance
        return -0.5 * (square + (2 * math.pi * variance).log()).sum(-1)


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

    def __call__(self, y: Float[Tensor, "batch dim"], level: Level) -> Float[Tensor, "batch dim"]:
        """E[x0 | y] at a noise level."""
        shares = self._joint(y, level).softmax(-1)  # [batch, components]
        shrink = self.variances / (self.variances + _column(level) ** 2)
        posterior = self.means + shrink[..., None] * (y[:, None] - self.means)
        return (shares[..., None] * posterior).sum(1)

    def log_density(
        self, y: Float[Tensor, "batch dim"], level: Level = 0.0
    ) -> Float[Tensor, " batch"]:
        """Log-density of the data plus noise of the given level."""
        return self._joint(y, level).logsumexp(-1)

    def only(self, component: int) -> "MixtureDenoiser":
        """The denoiser of one component: the law conditioned on its class."""
        one = slice(component, component + 1)
        return MixtureDenoiser(
            self.means[one], self.variances[one].sqrt(), self.log_weights[one].exp()
        )

    def _joint(self, y: Tensor, level: Level) -> Tensor:
        variance = self.variances + _column(level) ** 2
        square = (y[:, None] - self.means).square().sum(-1)
        normaliser = 0.5 * y.shape[1] * (2 * math.pi * variance).log()
        return self.log_weights - 0.5 * square / variance - normaliser


class DataSetDenoiser(MixtureDenoiser):
    """The exact denoiser of a finite data set: points, each as likely, above level 0."""

    def __init__(self, points: Float[Tensor, "count dim"]) -> None:
        super().__init__(points, points.new_zeros(len(points)), points.new_ones(len(points)))


def two_dimensional() -> MixtureDenoiser:
    """The mixture that the laws use: three unequal components in the plane, float64."""
    return MixtureDenoiser(
        torch.tensor([[1.0, 0.5], [-1.0, 1.0], [0.2, -1.2]], dtype=torch.float64),
        torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64),
        torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
    )


def _column(level: Level) -> float | Tensor:
    return level[:, None] if isinstance(level, Tensor) else level
