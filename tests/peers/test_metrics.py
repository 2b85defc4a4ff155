"""Metrics against torchmetrics and POT."""

import numpy as np
import ot
import pytest
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from danlu.evaluation.metrics.cloud import Cloud
from danlu.evaluation.metrics.frechet import frechet_distance
from danlu.evaluation.metrics.kid import kernel_distance
from danlu.evaluation.metrics.sliced_wasserstein import (
    DIRECTIONS,
    SEED,
    sliced_wasserstein,
    transport_cost,
)
from danlu.evaluation.metrics.wasserstein import wasserstein

pytestmark = pytest.mark.long


class Features(nn.Module):
    """A fixed linear map in place of Inception."""

    num_features = 12

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("weight", torch.randn(3 * 64, 12, generator=generator) / 14)

    def forward(self, x):
        return x.double().flatten(1) / 255 @ self.weight.double()


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, 256, (150, 3, 8, 8), generator=generator, dtype=torch.uint8)
    y = torch.randint(0, 200, (100, 3, 8, 8), generator=generator, dtype=torch.uint8)
    return x, y


def test_frechet_distance_is_that_of_torchmetrics(images):
    x, y = images
    network = Features()
    peer = FrechetInceptionDistance(feature=network, normalize=False).set_dtype(torch.float64)
    peer.update(x, real=False)
    peer.update(y, real=True)
    ours = frechet_distance(Cloud(network(x)), Cloud(network(y)))
    assert ours == pytest.approx(peer.compute().item(), rel=1e-6)


def test_kid_is_that_of_torchmetrics_on_one_block_of_all_points(images):
    x, y = images[0][:100], images[1]
    network = Features()
    with pytest.warns(UserWarning, match="will save all extracted features"):
        peer = KernelInceptionDistance(feature=network, subsets=1, subset_size=100)
    peer.update(x, real=False)
    peer.update(y, real=True)
    ours = kernel_distance(Cloud(network(x)), Cloud(network(y)))
    assert ours.value == pytest.approx(peer.compute()[0].item(), rel=1e-6)


def test_one_dimensional_transport_is_that_of_pot():
    generator = np.random.default_rng(2)
    a, b = generator.normal(size=(37, 6)), 2 * generator.normal(size=(53, 6)) + 1
    sorted_a, sorted_b = (torch.from_numpy(np.sort(v, axis=0)) for v in (a, b))
    expected = ot.wasserstein_1d(a, b, p=2)  # the p-th power, each column by itself
    np.testing.assert_allclose(transport_cost(sorted_a, sorted_b).numpy(), expected, rtol=1e-10)


def test_sliced_wasserstein_is_that_of_pot_with_the_same_directions():
    generator = np.random.default_rng(3)
    a, b = generator.normal(size=(80, 5)), generator.exponential(size=(60, 5))
    theta = torch.randn(
        5, DIRECTIONS, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64
    )
    theta = (theta / theta.norm(dim=0)).numpy()
    expected = ot.sliced_wasserstein_distance(a, b, projections=theta)
    ours = sliced_wasserstein(Cloud(torch.from_numpy(a)), Cloud(torch.from_numpy(b)))
    assert ours == pytest.approx(expected, rel=1e-10)


def test_exact_wasserstein_is_that_of_pot():
    generator = np.random.default_rng(4)
    a, b = generator.normal(size=(70, 2)), generator.uniform(size=(70, 2))
    expected = np.sqrt(ot.emd2([], [], ot.dist(a, b)))
    assert wasserstein(*map(torch.from_numpy, (a, b))) == pytest.approx(expected, rel=1e-10)
