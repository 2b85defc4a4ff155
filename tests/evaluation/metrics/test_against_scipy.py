"""Metrics against independent computations by scipy and scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.optimize import linprog
from scipy.stats import binom
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors

from danlu.evaluation.metrics.cloud import Cloud
from danlu.evaluation.metrics.frechet import frechet_distance, frechet_stderr
from danlu.evaluation.metrics.kid import kernel_distance
from danlu.evaluation.metrics.nearest import memberships
from danlu.evaluation.metrics.precision_recall import share
from danlu.evaluation.metrics.sliced_wasserstein import transport_cost


@pytest.fixture
def points():
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(120, 10, generator=generator, dtype=torch.float64)
    y = torch.randn(90, 10, generator=generator, dtype=torch.float64).cumsum(1) + 0.3
    return x, y


def test_frechet_distance_is_that_of_the_general_matrix_root(points):
    x, y = (p.numpy() for p in points)
    a, b = np.cov(x.T), np.cov(y.T)
    gap = np.square(x.mean(0) - y.mean(0)).sum()
    expected = gap + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(*map(Cloud, points)) == pytest.approx(expected, rel=1e-10)


def test_frechet_standard_error_is_the_spread_over_draws():
    generator = torch.Generator().manual_seed(0)

    def draw(n: int, stretch: float, shift: float) -> Cloud:
        scale = torch.tensor([stretch, 1.0, 0.5])
        return Cloud(shift + scale * torch.randn(n, 3, generator=generator))

    held_out = draw(2000, 1.0, 0.0)
    pairs = [
        (frechet_distance(cloud, held_out), frechet_stderr(cloud, held_out))
        for cloud in (draw(500, 1.6, 0.3) for _ in range(400))
    ]
    values, errors = torch.tensor(pairs, dtype=torch.float64).T
    # The spread over 400 draws is itself known to about 4 %.
    assert errors.mean().item() == pytest.approx(values.std().item(), rel=0.12)


def test_frechet_distance_of_fewer_points_than_features(points):
    x, y = (p[:6] for p in points)
    forward = frechet_distance(Cloud(x), Cloud(y))
    assert forward == pytest.approx(frechet_distance(Cloud(y), Cloud(x)), rel=1e-7)
    assert frechet_distance(Cloud(x), Cloud(x)) == pytest.approx(0, abs=1e-6)


def test_kid_is_that_of_the_polynomial_kernel(points):
    x, y = (p.numpy() for p in points)
    n, m = len(x), len(y)
    within = [polynomial_kernel(p, degree=3) for p in (x, y)]  # gamma = 1 / features, coef0 = 1
    within = [(k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in within]
    expected = sum(within) - 2 * polynomial_kernel(x, y, degree=3).sum() / (n * m)
    assert kernel_distance(*map(Cloud, points)).value == pytest.approx(expected, rel=1e-10)


def test_kid_has_an_honest_error():
    generator = torch.Generator().manual_seed(0)
    draws = []
    for _ in range(200):
        x = torch.randn(60, 4, generator=generator, dtype=torch.float64)
        y = torch.randn(80, 4, generator=generator, dtype=torch.float64) + 0.4
        draws.append(kernel_distance(Cloud(x), Cloud(y)))
    spread = np.std([d.value for d in draws])
    stated = np.sqrt(np.mean([d.stderr**2 for d in draws]))
    assert 0.9 * spread < stated < 1.4 * spread


@pytest.mark.parametrize("neighbours", [1, 3, 5])
def test_neighbours_are_those_of_scikit_learn(points, neighbours):
    x, y = (p.numpy() for p in points)
    # The query finds each point itself first.
    radius = NearestNeighbors(n_neighbors=neighbours + 1).fit(y).kneighbors(y)[0][:, -1]
    inside = NearestNeighbors(metric="euclidean").fit(y).kneighbors(x, n_neighbors=len(y))
    member = np.zeros((len(x), len(y)), dtype=bool)
    for row, (distances, indices) in enumerate(zip(*inside, strict=True)):
        member[row, indices] = distances <= radius[indices]
    per_point, per_ball = memberships(*map(Cloud, points), neighbours)
    assert per_point.tolist() == member.sum(1).tolist()
    assert per_ball.tolist() == member.sum(0).tolist()


def test_transport_of_unequal_counts_is_the_linear_program():
    generator = torch.Generator().manual_seed(3)
    a = torch.randn(5, 1, generator=generator, dtype=torch.float64).sort(0).values
    b = torch.randn(7, 1, generator=generator, dtype=torch.float64).sort(0).values
    cost = (a - b.T).square().numpy()
    rows = np.kron(np.eye(5), np.ones(7))
    columns = np.kron(np.ones(5), np.eye(7))
    plan = linprog(
        cost.ravel(),
        A_eq=np.concatenate([rows, columns]),
        b_eq=np.concatenate([np.full(5, 1 / 5), np.full(7, 1 / 7)]),
    )
    assert transport_cost(a, b).item() == pytest.approx(plan.fun, rel=1e-9)


def test_share_has_the_binomial_error():
    measured = share(30, 40)
    assert measured.value == 0.75
    assert measured.stderr == pytest.approx(binom(40, 0.75).std() / 40)
