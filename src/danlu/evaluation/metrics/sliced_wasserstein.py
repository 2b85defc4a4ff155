r"""Sliced Wasserstein distance: the mean transport cost over many one-dimensional views.

For unit directions $\theta_1, \dots, \theta_P$, drawn once from a fixed seed and the same for
every row,

$$SW_2^2 = \frac{1}{P} \sum_p \int_0^1 (F_p^{-1}(u) - G_p^{-1}(u))^2 \, du,$$

where $F_p$ and $G_p$ are the empirical distributions of $\langle\theta_p, x\rangle$ over samples
and held-out data. The integral is exact for unequal numbers of points too: both quantile
functions are steps, constant between neighbouring multiples of $1/n$ and $1/m$.

Source: arXiv:1803.11188.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.evaluation.metrics.cloud import Cloud
from danlu.evaluation.metrics.metric import Better, Comparison, Metric, Need
from danlu.evaluation.results import Measured

DIRECTIONS = 256
SEED = 0


class SlicedWasserstein(Metric):
    """Sliced Wasserstein distance of order 2 over fixed directions."""

    title = "Sliced Wasserstein"
    measures = "How far samples must move to become held-out data, seen along 256 directions."
    better = Better.LOWER
    noise = "Falls with the square root of the number of samples; the floor row shows its size."
    needs = Need.FEATURES

    @override
    def measure(self, comparison: Comparison) -> Measured:
        return Measured(sliced_wasserstein(comparison.samples, comparison.held_out))


def sliced_wasserstein(samples: Cloud, held_out: Cloud) -> float:
    """The distance of order 2 between two clouds."""
    cost = transport_cost(samples.once(shadows), held_out.once(shadows))
    return cost.mean().sqrt().item()


def shadows(cloud: Cloud) -> Float[Tensor, "points directions"]:
    """Sorted projections of the points onto the fixed directions."""
    generator = torch.Generator().manual_seed(SEED)
    dim = cloud.points.shape[1]
    theta = torch.randn(dim, DIRECTIONS, generator=generator, dtype=torch.float64)
    theta = theta / theta.norm(dim=0)
    return (cloud.points.double() @ theta).sort(dim=0).values


def transport_cost(
    first: Float[Tensor, "n directions"], second: Float[Tensor, "m directions"]
) -> Float[Tensor, " directions"]:
    """Squared Wasserstein-2 distance of each pair of sorted columns."""
    n, m = len(first), len(second)
    # Ends of the intervals on which both quantile functions are constant, in units of 1 / (n m).
    ends = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique()
    widths = ends.diff(prepend=ends.new_zeros(1))
    gap = first[(ends - 1) // m] - second[(ends - 1) // n]
    return widths.to(gap.dtype) @ gap.square() / (n * m)
