r"""Wasserstein distance in the plane: the exact cost of the best assignment.

Between two sets of $n$ points an optimal plan is a permutation,

$$W_2^2 = \min_\pi \frac{1}{n} \sum_i \lVert x_i - y_{\pi(i)} \rVert^2,$$

found exactly by the linear assignment problem. Larger sets are cut to 1,000 points.

Source: arXiv:1803.00567 §2.2 to 2.3 (Proposition 2.1).
"""

import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from typing_extensions import override

from danlu.evaluation.metrics.metric import Better, Comparison, Metric, Need
from danlu.evaluation.results import Measured

POINTS = 1000
MOST_DIMS = 3  # in many dimensions the distance of finite sets says little


class Wasserstein(Metric):
    """Exact Wasserstein distance of order 2, for data of few dimensions."""

    title = "Wasserstein"
    measures = "How far samples must move to become held-out data, by the best assignment."
    better = Better.LOWER
    noise = "Two real sets of this size are apart by the floor row's figure."
    needs = Need.PIXELS

    @override
    def applies(self, comparison: Comparison) -> bool:
        description = comparison.reference.description
        return not description.is_image and description.dims <= MOST_DIMS

    @override
    def measure(self, comparison: Comparison) -> Measured:
        samples, held_out = comparison.matched(POINTS)
        return Measured(wasserstein(samples.points, held_out.points))


def wasserstein(
    first: Float[Tensor, "points features"], second: Float[Tensor, "points features"]
) -> float:
    """The distance of order 2 between sets of equally many points."""
    cost = torch.cdist(first.double(), second.double()).square()
    rows, columns = linear_sum_assignment(cost.numpy())
    return cost[rows, columns].mean().sqrt().item()
