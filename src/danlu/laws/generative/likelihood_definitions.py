"""Likelihoods against their distribution functions in plain arithmetic."""

import math

import torch
from torch import Tensor

from danlu.contracts import DataDescription
from danlu.contracts.recorded_noise import GivenNoise
from danlu.laws.draws import generator
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Law, stated
from danlu.losses.likelihoods import DiscretisedLogistic, Gaussian, ids_of, round_to_levels

LEVELS = DataDescription(shape=(2,), levels=5, low=-1.0, high=3.0)
LINE = DataDescription(shape=(2,), levels=None, low=-1.0, high=3.0)
RAW = (-60.0, -3.0, 0.0, 2.0, 900.0)


def _scale(raw: float) -> float:
    """A softplus above the smallest, near a 16th of the range at 0, at most 100 ranges."""
    lowest, start = math.log(math.exp(-4.0) * 1.0), math.log(4.0 / 16)
    shifted = raw + start - lowest
    rise = shifted if shifted > 500 else math.log1p(math.exp(shifted))
    return math.exp(min(lowest + rise, math.log(100 * 4.0)))


def _below(x: float, location: float, scale: float) -> float:
    return 0.5 * (1 + math.tanh((x - location) / (2 * scale)))


def _mass(level: int, location: float, scale: float) -> float:
    """Of the bin around a level; the end bins are open."""
    x = level - 1.0
    above = 1.0 if level == 4 else _below(x + 0.5, location, scale)
    return above - (0.0 if level == 0 else _below(x - 0.5, location, scale))


def _logistic() -> float:
    """Masses, means and draws of discretised logistics are those of the distribution function."""
    likelihood, worst = DiscretisedLogistic(LEVELS), 0.0
    for raw in RAW:
        for location in (-1.3, 0.4, 2.9):
            scale = _scale(raw)
            output = torch.tensor([[location, location, raw, raw]])
            masses = [_mass(level, location, scale) for level in range(5)]
            for level, other in ((0, 1), (2, 3), (4, 4)):
                x = torch.tensor([[level - 1.0, other - 1.0]])
                exact = masses[level] * masses[other]
                found = likelihood.log_prob(x, output).exp()
                worst = largest(worst, gap(found, torch.tensor([exact])))
            mean = sum((level - 1) * mass for level, mass in enumerate(masses))
            worst = largest(worst, gap(likelihood.mean(output), torch.tensor([[mean, mean]])))
            u = torch.tensor([[0.2, 0.9]])
            drawn = torch.tensor([[location + scale * math.log(p / (1 - p)) for p in (0.2, 0.9)]])
            found = likelihood.unrounded(output, GivenNoise([u]))
            worst = largest(worst, gap(found, drawn) / largest(1.0, scale))
            levels = drawn.round().clamp(-1.0, 3.0)
            worst = largest(worst, gap(likelihood.draw(output, GivenNoise([u])), levels))
    return worst


def _gaussian() -> float:
    """Densities and draws of Gaussians of a tenth of the range at first."""
    likelihood = Gaussian(LINE).double()
    x, mean, noise = (torch.randn(6, 2, generator=generator(i)) for i in range(3))
    density = torch.distributions.Normal(mean, 0.4).log_prob(x).sum(1)
    drawn = likelihood.draw(mean, GivenNoise([noise]))
    pairs = [(drawn, mean + 0.4 * noise), (likelihood.mean(mean), mean)]
    pairs.append((likelihood.log_prob(x, mean), density))
    return largest(gap(found, exact) for found, exact in pairs)


def _levels() -> float:
    """Values go to the nearest level of the range."""
    x = torch.tensor([[-7.0, -0.6], [-0.4, 2.6], [1.2, 9.0]])
    rounded: Tensor = round_to_levels(x, LEVELS)
    nearest = torch.tensor([[-1.0, -1.0], [0.0, 3.0], [1.0, 3.0]])
    ids = torch.tensor([[3, 1]])
    found = (rounded, ids_of(rounded, LEVELS), ids_of(ids, LEVELS))
    return gap(found, (nearest, nearest + 1, ids))


LAWS: list[Law] = [
    stated("likelihoods/logistic", 1e-6, _logistic, "definition"),
    stated("likelihoods/gaussian", 1e-7, _gaussian, "independent package"),
    stated("likelihoods/levels", 0.0, _levels, "enumeration"),
]
