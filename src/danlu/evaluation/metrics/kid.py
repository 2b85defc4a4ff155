r"""KID, the unbiased squared maximum mean discrepancy of a cubic kernel.

With $k(x, y) = (x^\top y / d + 1)^3$ on features of $d$ numbers,

$$\mathrm{KID} = \frac{\sum_{i \ne j} k(x_i, x_j)}{n(n-1)}
  + \frac{\sum_{i \ne j} k(y_i, y_j)}{m(m-1)} - \frac{2 \sum_{ij} k(x_i, y_j)}{n m},$$

whose mean over draws is the distance of the two distributions for any $n$ and $m$, so it may be
slightly negative when they agree. The standard error is the jackknife's over both sets,
$\frac{n-1}{n} \sum_i (\theta_{-i} - \bar\theta)^2$ plus the same for $y$, where $\theta_{-i}$
leaves one point out; by the Efron–Stein inequality it is not too small on average.

Sources: arXiv:1801.01401; arXiv:0805.2368 for the U-statistic; Efron and Stein 1981,
Annals of Statistics 9:586.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.evaluation.metrics.cloud import Cloud
from danlu.evaluation.metrics.metric import Better, Comparison, Metric, Need
from danlu.evaluation.results import Measured

CHUNK = 1000


class KID(Metric):
    """Unbiased polynomial MMD² with its jackknife standard error."""

    title = "KID"
    measures = "Distance of the two distributions by all moments up to the third; unbiased."
    better = Better.LOWER
    noise = "The standard error is given; 0 within it means no difference was seen."
    needs = Need.FEATURES
    least = 3

    @override
    def measure(self, comparison: Comparison) -> Measured:
        return kernel_distance(comparison.samples, comparison.held_out)


def kernel_distance(samples: Cloud, held_out: Cloud) -> Measured:
    """KID of two clouds of at least three points each."""
    n, m = len(samples), len(held_out)
    a, b = samples.once(own_sums), held_out.once(own_sums)
    c, e = cross_sums(samples, held_out)
    within_x = a.sum() / (n * (n - 1))
    within_y = b.sum() / (m * (m - 1))
    value = within_x + within_y - 2 * c.sum() / (n * m)

    without_x = (a.sum() - 2 * a) / ((n - 1) * (n - 2)) + within_y
    without_x = without_x - 2 * (c.sum() - c) / ((n - 1) * m)
    without_y = (b.sum() - 2 * b) / ((m - 1) * (m - 2)) + within_x
    without_y = without_y - 2 * (e.sum() - e) / (n * (m - 1))
    variance = without_x.var(unbiased=False) * (n - 1) + without_y.var(unbiased=False) * (m - 1)
    return Measured(value.item(), math.sqrt(variance.item()))


def own_sums(cloud: Cloud) -> Float[Tensor, " points"]:
    """Kernel sums of every point with all others of its cloud."""
    itself = _kernel(cloud.points.square().sum(1), cloud.points.shape[1])
    return cross_sums(cloud, cloud)[0] - itself


def cross_sums(first: Cloud, second: Cloud) -> tuple[Float[Tensor, " n"], Float[Tensor, " m"]]:
    """Kernel sums of every point of each cloud with all points of the other, in float64."""
    rows, columns = [], torch.zeros(len(second), dtype=torch.float64)
    for part in first.points.split(CHUNK):
        kernel = _kernel(part @ second.points.T, part.shape[1])
        rows.append(kernel.sum(1))
        columns += kernel.sum(0)
    return torch.cat(rows), columns


def _kernel(products: Tensor, dim: int) -> Tensor:
    return products.double().div_(dim).add_(1).pow_(3)
