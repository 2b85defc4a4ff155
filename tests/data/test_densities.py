import math

import pytest
import torch

from danlu.data import SOURCES, open_source
from danlu.data.densities import Checkerboard, Pinwheel, Rings

NAMES = [name for name in SOURCES if name not in ("digits", "fashion-mnist")]


@pytest.mark.parametrize("name", NAMES)
def test_source_of_a_density(name):
    source = open_source(name)
    again = open_source(name)
    assert source.description.shape == (2,)
    assert source.description.levels is None
    assert source.description.classes == 0
    sizes = [len(part) for part in (source.training, source.validation, source.test)]
    assert sizes == [50_000, 10_000, 10_000]
    x = source.training.x()
    assert x.dtype == torch.float32
    assert torch.equal(x, again.training.x())
    assert not torch.equal(x[:10_000], source.test.x())
    assert (x.min().item(), x.max().item()) == (source.description.low, source.description.high)
    assert 2.5 < x.abs().max() < 5
    log_density = source.log_density(source.test.x())
    assert log_density.dtype == torch.float64
    assert log_density.isfinite().all()


@pytest.mark.parametrize(("name", "modes"), [("eight-gaussians", 8), ("gaussian-grid", 25)])
def test_modes_are_centres_of_the_samples(name, modes):
    source = open_source(name)
    assert source.modes.shape == (modes, 2)
    x = source.training.x()
    distance = torch.cdist(x, source.modes).min(1)
    assert distance.values.max() < 6 * source.mode_scale
    share = torch.bincount(distance.indices, minlength=modes) / len(x)
    assert (share - 1 / modes).abs().max() < 5 * math.sqrt(1 / modes / len(x))
    means = torch.stack([x[distance.indices == k].mean(0) for k in range(modes)])
    assert (means - source.modes).abs().max() < 5 * source.mode_scale * math.sqrt(modes / len(x))


def test_only_mixtures_of_gaussians_name_modes():
    named = {name for name in NAMES if open_source(name).modes is not None}
    assert named == {"eight-gaussians", "gaussian-grid"}


def test_checkerboard_is_dark_on_the_squares_of_even_sum():
    squares = torch.cartesian_prod(*[torch.arange(-3, 3, dtype=torch.float64) * 2 + 1] * 2)
    expected = [
        max(abs(x), abs(y)) < 4 and (math.floor(x / 2) + math.floor(y / 2)) % 2 == 0
        for x, y in squares.tolist()
    ]
    log_density = Checkerboard().log_density(squares)
    assert log_density.isfinite().tolist() == expected
    assert log_density[log_density.isfinite()].unique().tolist() == [-math.log(32)]


def test_pinwheel_looks_the_same_after_a_fifth_of_a_turn():
    x = torch.randn(100, 2, dtype=torch.float64) * 2
    angle = torch.tensor(2 * math.pi / 5, dtype=torch.float64)
    cos, sin = angle.cos(), angle.sin()
    turned = x @ torch.stack((torch.stack((cos, sin)), torch.stack((-sin, cos))))
    density = Pinwheel()
    torch.testing.assert_close(
        density.log_density(turned), density.log_density(x), rtol=0, atol=1e-9
    )


def test_rings_equal_an_average_of_gaussians_on_the_circles():
    x = torch.randn(50, 2, dtype=torch.float64) * 2
    angle = torch.arange(4000, dtype=torch.float64) * 2 * math.pi / 4000
    circle = torch.stack((angle.cos(), angle.sin()), dim=1)
    points = torch.cat([radius * circle for radius in (0.9, 1.8, 2.7, 3.6)])
    exponent = -torch.cdist(x, points).square() / (2 * 0.1**2)
    expected = exponent.logsumexp(1) - math.log(len(points) * 2 * math.pi * 0.1**2)
    torch.testing.assert_close(Rings().log_density(x), expected, rtol=1e-9, atol=1e-9)
