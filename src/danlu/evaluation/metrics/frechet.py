r"""Fréchet distance: Wasserstein-2 between the Gaussians that fit two sets of features.

$$d^2 = \lVert \mu_x - \mu_y \rVert^2
  + \operatorname{tr}(\Sigma_x + \Sigma_y - 2 (\Sigma_x \Sigma_y)^{1/2}),$$

where the trace of the root is the sum of the roots of the eigenvalues of the symmetric matrix
$\Sigma_y^{1/2} \Sigma_x \Sigma_y^{1/2}$: no general matrix root, no complex residue, also for
singular covariances. It carries the name of its feature space; the well-known number of this
kind belongs to the Inception network alone, and the two cannot be compared.

Source: arXiv:1706.08500 eq. 6.
"""

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
    noise = "Biased upwards, more so with fewer samples: compare rows of equally many samples."
    needs = Need.FEATURES

    @override
    def measure(self, comparison: Comparison) -> Measured:
        return Measured(frechet_distance(comparison.samples, comparison.held_out))


def frechet_distance(samples: Cloud, held_out: Cloud) -> float:
    """The squared distance between the Gaussian fits of two clouds."""
    mean_x, covariance_x = samples.once(moments)
    mean_y, covariance_y = held_out.once(moments)
    root = held_out.once(covariance_root)
    overlap = torch.linalg.eigvalsh(root @ covariance_x @ root).clamp(min=0).sqrt().sum()
    traces = covariance_x.trace() + covariance_y.trace() - 2 * overlap
    return ((mean_x - mean_y).square().sum() + traces).item()


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
