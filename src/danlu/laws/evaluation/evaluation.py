"""Laws of evaluation: metrics against closed forms, enumeration and plain loops."""

import math
from itertools import combinations

import torch
from torch import Tensor

from danlu.contracts import DataDescription
from danlu.data import Examples
from danlu.evaluation.metrics.cloud import Cloud
from danlu.evaluation.metrics.frechet import frechet_distance
from danlu.evaluation.metrics.kid import kernel_distance
from danlu.evaluation.metrics.mode_coverage import assign
from danlu.evaluation.metrics.nearest import memberships
from danlu.evaluation.metrics.neighbour_distance import nearest_training
from danlu.evaluation.metrics.sharpness import high_frequency_power, power_ratio
from danlu.evaluation.metrics.sliced_wasserstein import sliced_wasserstein, transport_cost
from danlu.evaluation.metrics.wasserstein import wasserstein
from danlu.evaluation.reference import Reference
from danlu.laws.draws import standard_normal
from danlu.laws.gaps import gap, largest, rarity, sigmas
from danlu.laws.law import Rows, table


def _with_moments(points: Tensor, mean: Tensor, root: Tensor) -> Cloud:
    """Points moved to have exactly this mean and the covariance `root @ root.T`."""
    middle = points - points.mean(0)
    whitened = torch.linalg.solve_triangular(
        torch.linalg.cholesky(middle.T.cov()), middle.T, upper=False
    )
    return Cloud(mean + whitened.T @ root.T)


def _frechet_of_commuting_gaussians() -> float:
    axes = torch.linalg.qr(standard_normal(6, 6))[0]
    first, second = 0.2 + standard_normal(2, 6, stream=20).abs()
    first[0] = 0.0  # a flat direction must not hurt
    means = standard_normal(2, 6, stream=1)
    clouds = [
        _with_moments(standard_normal(50, 6, stream=2 + i), means[i], axes @ deviations.diag())
        for i, deviations in enumerate((first, second))
    ]
    exact = (means[0] - means[1]).square().sum() + (first - second).square().sum()
    return gap(frechet_distance(*clouds), exact.item())


def _frechet_of_rotated_gaussians() -> float:
    """The Fréchet distance of any two Gaussians in the plane equals its closed form."""
    roots = standard_normal(2, 2, 2, stream=5)
    a, b = (root @ root.T for root in roots)
    overlap = ((a @ b).trace() + 2 * (a.det() * b.det()).sqrt()).sqrt()
    exact = a.trace() + b.trace() - 2 * overlap
    zero = torch.zeros(2, dtype=torch.float64)
    clouds = [_with_moments(standard_normal(40, 2, stream=i), zero, roots[i]) for i in range(2)]
    return gap(frechet_distance(*clouds), exact.item())


def _kid_as_a_double_sum() -> float:
    """KID equals its definition as an explicit double sum."""
    x, y = standard_normal(7, 3, stream=1), 0.5 + standard_normal(5, 3, stream=2)

    def mean_kernel(a: Tensor, b: Tensor, same: bool) -> float:
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (same and i == j)]
        return math.fsum((a[i] @ b[j] / 3 + 1).item() ** 3 for i, j in pairs) / len(pairs)

    exact = mean_kernel(x, x, True) + mean_kernel(y, y, True) - 2 * mean_kernel(x, y, False)
    return gap(kernel_distance(Cloud(x), Cloud(y)).value, exact)


def _kid_over_all_splits() -> float:
    """KID averaged over all splits of one set is 0."""
    points = standard_normal(8, 2, stream=3)
    values = []
    for chosen in combinations(range(8), 3):
        rest = [i for i in range(8) if i not in chosen]
        values.append(kernel_distance(Cloud(points[list(chosen)]), Cloud(points[rest])).value)
    return gap(math.fsum(values) / len(values), 0.0)


def _kid_jackknife() -> float:
    """The standard error of KID equals the jackknife that leaves points out one by one."""
    x, y = standard_normal(9, 3, stream=4), standard_normal(6, 3, stream=5)
    parts = []
    for kept, other, swap in ((x, y, False), (y, x, True)):
        n = len(kept)
        values = []
        for i in range(n):
            pair = [Cloud(torch.cat([kept[:i], kept[i + 1 :]])), Cloud(other)]
            values.append(kernel_distance(*(pair[::-1] if swap else pair)).value)
        parts.append((n - 1) * torch.tensor(values, dtype=torch.float64).var(unbiased=False).item())
    stderr = kernel_distance(Cloud(x), Cloud(y)).stderr
    assert stderr is not None
    return gap(stderr, math.sqrt(sum(parts)))


def _wasserstein_of_sorted_values() -> float:
    """On a line, sliced and exact Wasserstein equal the gap of the sorted values."""
    a, b = standard_normal(40, 1, stream=6), 1 + 2 * standard_normal(40, 1, stream=7)
    exact = (a.sort(0).values - b.sort(0).values).square().mean().sqrt().item()
    return largest(
        gap(sliced_wasserstein(Cloud(a), Cloud(b)), exact), gap(wasserstein(a, b), exact)
    )


def _wasserstein_of_unequal_counts() -> float:
    """One-dimensional transport between unequal counts equals that of repeated points."""
    a, b = (
        standard_normal(6, 1, stream=8).sort(0).values,
        standard_normal(4, 1, stream=9).sort(0).values,
    )
    repeated_a, repeated_b = a.repeat_interleave(2, 0), b.repeat_interleave(3, 0)
    exact = (repeated_a - repeated_b).square().mean(0)
    return gap(transport_cost(a, b), exact)


def _exact_wasserstein_of_a_shift() -> float:
    """Exact Wasserstein between a set and its shifted copy is the length of the shift."""
    x = standard_normal(30, 2, stream=10)
    shift = torch.tensor([3.0, 4.0], dtype=torch.float64)
    return gap(wasserstein(x, (x + shift).flip(0)), 5.0)


def _memberships_by_loops() -> float:
    """Precision, recall, density and coverage count what plain loops count."""
    points, centres = standard_normal(25, 3, stream=11), standard_normal(30, 3, stream=12)
    wrong = []
    for k in (1, 3, 5):
        per_point, per_ball = memberships(Cloud(points), Cloud(centres), k)
        inside = torch.zeros(len(points), len(centres), dtype=torch.bool)
        for j, centre in enumerate(centres):
            others = sorted(math.dist(centre, o) for i, o in enumerate(centres) if i != j)
            for i, point in enumerate(points):
                inside[i, j] = math.dist(point, centre) <= others[k - 1]
        wrong.append(gap([per_point, per_ball], [inside.sum(1), inside.sum(0)]))
    return largest(wrong)


def _nearest_training_by_loops() -> float:
    """The nearest training example is that of a plain loop; a copy has distance 0."""
    description = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0)
    training, x = standard_normal(40, 2, stream=13), standard_normal(15, 2, stream=14)
    x[3] = training[7]
    examples = Examples(training, None, description)
    found = nearest_training(x, Reference(examples, description, training=examples))
    error = 0.0
    for point, distance, index in zip(x, found.distance, found.index, strict=True):
        every = [math.dist(point, other) for other in training]
        error = largest(error, gap(distance.item(), min(every)), gap(every[index], min(every)))
    return largest(error, found.distance[3].item())


def _sharpness_of_itself_and_of_waves() -> float:
    """Sharpness is 1 on the data, quadratic in contrast, blind below half Nyquist."""
    x = standard_normal(20, 1, 8, 8, stream=15)
    power = high_frequency_power(x)
    column = torch.arange(8, dtype=torch.float64)
    slow = torch.cos(2 * math.pi * column / 8).expand(1, 1, 8, 8)  # 1/8 cycles a pixel
    fast = torch.cos(2 * math.pi * column * 3 / 8).expand(1, 1, 8, 8)  # 3/8 cycles a pixel
    errors = [
        gap(power_ratio(power, power).value, 1),
        gap(power_ratio(high_frequency_power(0.5 * x), power).value, 0.25),
        high_frequency_power(slow).item() / 8**4,
        # Two lines of the spectrum with amplitude 64 / 2 each.
        gap(high_frequency_power(fast).item(), 2 * 32.0**2) / 8**4,
    ]
    return largest(errors)


def _quality_of_a_mixture() -> float:
    """The share of a mixture on its modes is 1 - exp(-9/2), in standard errors."""
    modes = torch.tensor([[0.0, 0.0], [10.0, 0.0]], dtype=torch.float64)
    x = modes.repeat(20_000, 1) + 0.3 * standard_normal(40_000, 2, stream=16)
    mode, good = assign(x, modes, 0.3)
    return gap(mode, torch.arange(40_000) % 2) + rarity(good.sum(), len(x), 1 - math.exp(-4.5))


_LAWS: Rows = {
    "closed form": [
        (
            "evaluation/frechet-commuting",
            "Fréchet distance of Gaussians with common axes: |mean gap|² + |deviation gap|²",
            # A flat direction's eigenvalue is 0 to rounding, and the distance takes its root.
            1e-6,
            _frechet_of_commuting_gaussians,
        ),
        ("evaluation/frechet-plane", 1e-9, _frechet_of_rotated_gaussians),
        ("evaluation/wasserstein-line", 1e-12, _wasserstein_of_sorted_values),
        ("evaluation/wasserstein-counts", 1e-12, _wasserstein_of_unequal_counts),
        ("evaluation/wasserstein-shift", 1e-12, _exact_wasserstein_of_a_shift),
        ("evaluation/sharpness", 1e-12, _sharpness_of_itself_and_of_waves),
    ],
    "definition": [
        ("evaluation/kid-double-sum", 1e-12, _kid_as_a_double_sum),
    ],
    "enumeration": [
        ("evaluation/kid-unbiased", 1e-12, _kid_over_all_splits),
        ("evaluation/kid-jackknife", 1e-12, _kid_jackknife),
        ("evaluation/memberships", 0.0, _memberships_by_loops),
        ("evaluation/nearest-training", 1e-12, _nearest_training_by_loops),
    ],
    "statistics": [
        ("evaluation/high-quality", sigmas(), _quality_of_a_mixture),
    ],
}

LAWS = table(_LAWS)
