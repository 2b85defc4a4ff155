r"""The bandwidth of Gaussian kernels: the one that makes held-out points most likely.

With the squared distances $d_{ij}^2$ of points to centres the log-density is a function of the
bandwidth h alone,
$\ln p(y_i) = -\tfrac D2 \ln(2\pi h^2) + \ln \tfrac1n \sum_j e^{-d_{ij}^2 / 2h^2}$,
so that the distances are computed once and the search is over one number. At a maximum
$h^2 = \frac{1}{mD} \sum_{ij} r_{ij} d_{ij}^2$ with the shares $r_{ij}$ of the centres in point i.

Sources: doi:10.1109/T-C.1976.5009231 (Duin 1976).
"""

import math

import torch
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from torch import Tensor

NARROWEST, WIDEST = 1e-3, 2.0
"""Range of bandwidths, in root-mean-square deviations of the centres."""
CANDIDATES = 12
"""Bandwidths tried over the whole range before the neighbourhood of the best one is searched."""
PRECISION = 1e-4
"""Of the logarithm of the bandwidth."""


def squared_distances(
    x: Float[Tensor, "points dims"], centres: Float[Tensor, "centres dims"]
) -> Float[Tensor, "points centres"]:
    """Of every point to every centre, by one matrix product."""
    # Far from the origin the difference of large squares would lose digits.
    origin = centres.mean(0)
    x, centres = x - origin, centres - origin
    squares = x.square().sum(1)[:, None] + centres.square().sum(1)
    return torch.addmm(squares, x, centres.T, alpha=-2.0).clamp(min=0.0)


def log_density(
    squared: Float[Tensor, "points centres"], bandwidth: Float[Tensor, ""], dims: int
) -> Float[Tensor, " points"]:
    """Log-density of points from their squared distances; infinite distances leave centres out."""
    left = squared.isfinite().sum(1)
    scale = dims * (bandwidth.log() + 0.5 * math.log(2 * math.pi))
    return (-0.5 * squared / bandwidth.square()).logsumexp(1) - left.log() - scale


def best_bandwidth(
    points: Float[Tensor, "points dims"],
    centres: Float[Tensor, "centres dims"],
    own: Int[Tensor, " points"] | None = None,
) -> float:
    """The bandwidth of the most likely points.

    Args:
        points: whose mean log-density is maximised.
        centres: of the kernels.
        own: the centre that each point must do without: itself, to leave one out.
    """
    squared, dims = squared_distances(points, centres), centres.shape[1]
    if own is not None:
        squared[torch.arange(len(points)), own] = math.inf

    def cost(log_bandwidth: float) -> float:
        bandwidth = squared.new_tensor(math.exp(log_bandwidth))
        return -log_density(squared, bandwidth, dims).double().mean().item()

    spread = centres.var(0, unbiased=False).mean().sqrt().item() or 1.0
    step = math.log(WIDEST / NARROWEST) / (CANDIDATES - 1)
    candidates = [math.log(NARROWEST * spread) + step * index for index in range(CANDIDATES)]
    best = min(candidates, key=cost)
    around = (best - step, best + step)
    found = minimize_scalar(cost, bounds=around, method="bounded", options={"xatol": PRECISION})
    return math.exp(found.x)
