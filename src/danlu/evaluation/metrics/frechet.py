r"""Fréchet distance: Wasserstein-2 between the Gaussians that fit two sets of features.

$$d^2 = \lVert \mu_x - \mu_y \rVert^2
  + \operatorname{tr}(\Sigma_x + \Sigma_y - 2 (\Sigma_x \Sigma_y)^{1/2}),$$

where the trace of the root is the sum of the roots of the eigenvalues of the symmetric matrix
$\Sigma_y^{1/2} \Sigma_x \Sigma_y^{1/2}$: no general matrix root, no complex residue, also for
singular covariances. It carries the name of its feature space; the well-known number of this
kind belongs to the Inception network alone, and the two cannot be compared.

The standard error is that of drawing other samples, by the delta method: with $c = x - \mu_x$ and
$A = \Sigma_y^{1/2} (\Sigma_y^{1/2} \Sigma_x \Sigma_y^{1/2})^{-1/2} \Sigma_y^{1/2}$, a sample has
the influence $2 (\mu_x - \mu_y)^\top c + c^\top (I - A) c$ on $d^2$. The held-out data counts as
given, since all rows share it.

Source: arXiv:1706.08500 eq. 6.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.evaluation.metrics.cloud import Cloud
from danlu.evaluation.metrics.metric import Better, Comparison, Metric, Need
from danlu.evaluation.results import Measured


class Frechet(Metric):
    """Fréchet distance in a feature space (squared, as is customary)."""

    title = "Fréchet distance"
    measures = "Distance of means and covariances of the features of samples and held-out data."
    better = Better.LOWER
    noise = "The standard error is given; biased upwards: compare rows of equally many samples."
    needs = Need.FEATURES
    least = 2

    @override
    def measure(self, comparison: Comparison) -> Measured:
        pair = comparison.samples, comparison.held_out
        return Measured(frechet_distance(*pair), frechet_stderr(*pair))


def frechet_distance(samples: Cloud, held_out: Cloud) -> float:
    """The squared distance between the Gaussian fits of two clouds."""
    mean_x, covariance_x = samples.once(moments)
    mean_y, covariance_y = held_out.once(moments)
    root = held_out.once(covariance_root)
    overlap = torch.linalg.eigvalsh(root @ covariance_x @ root).clamp(min=0).sqrt().sum()
    traces = covariance_x.trace() + covariance_y.trace() - 2 * overlap
    return ((mean_x - mean_y).square().sum() + traces).item()


def frechet_stderr(samples: Cloud, held_out: Cloud) -> float:
    """Standard error of the squared distance under other draws of the samples."""
    mean_x, covariance_x = samples.once(moments)
    mean_y, _ = held_out.once(moments)
    root = held_out.once(covariance_root)
    values, vectors = torch.linalg.eigh(root @ covariance_x @ root)
    # Directions without spread carry no transport.
    kept = values > values.max() * 1e-12
    inverse = torch.where(kept, values.clamp(min=1e-300).rsqrt(), 0.0)
    transport = root @ (vectors * inverse) @ vectors.T @ root
    centred = samples.points.double() - mean_x
    quadratic = centred.square().sum(1) - ((centred @ transport) * centred).sum(1)
    influence = 2 * centred @ (mean_x - mean_y) + quadratic
    return (influence.std() / math.sqrt(len(samples))).item()


def moments(
    cloud: Cloud,
) -> tuple[Float[Tensor, " features"], Float[Tensor, "features features"]]:
    """Mean and unbiased covariance in float64."""
    points = cloud.points.double()
    dim = points.shape[1]
    return points.mean(0), points.T.cov().reshape(dim, dim)


def covariance_root(cloud: Cloud) -> Float[Tensor, "features features"]:
    """The symmetric root of the covariance."""
    values, vectors = torch.linalg.eigh(cloud.once(moments)[1])
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T
