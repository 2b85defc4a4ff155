"""Exact flow maps of known laws of data, in the place of networks."""

import torch
from torch import Tensor, nn

from danlu.conditioning.classes import ClassEmbedding
from danlu.contracts import DataDescription
from danlu.generative.diffusion.analytic import two_dimensional
from danlu.generative.diffusion.consistency import Consistency
from danlu.generative.diffusion.predictions import DATA_STD

LINE = DataDescription(shape=(1,), levels=None, low=-3.0, high=3.0)
MEAN, STD = 0.3, 0.8
STEPS = 40
"""Fourth-order steps behind a mixture's average velocity."""


class GaussianMap(nn.Module):
    """The average velocity of Gaussian data in closed form, on the linear path."""

    def __init__(self, mean: float = MEAN, std: float = STD) -> None:
        super().__init__()
        self.classes = ClassEmbedding(0, 1)
        self.mean, self.std = mean, std

    def map(self, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The state at time s; each deviation from the mean grows with that of its time."""
        spread = lambda t: ((1 - t).square() * self.std**2 + t.square()).sqrt()
        return (1 - s) * self.mean + (x - (1 - t) * self.mean) * spread(s) / spread(t)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """The derivative of the map by its second time, where both are t."""
        t = t[:, None]
        variance = (1 - t).square() * self.std**2 + t.square()
        rate = (t - (1 - t) * self.std**2) / variance
        return -self.mean + (x - (1 - t) * self.mean) * rate

    def forward(self, x: Tensor, t: Tensor, condition: None, span: Tensor) -> Tensor:
        """The average velocity over a span before t."""
        velocity = self.velocity(x, t)
        t, span = t[:, None], span[:, None]
        some = torch.where(span > 0, span, 1.0)
        return torch.where(span > 0, (x - self.map(x, t, t - some)) / some, velocity)


class MixtureMap(nn.Module):
    """The average velocity of a mixture of the plane, by integration of its exact velocity."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = ClassEmbedding(0, 1)
        self.mixture = two_dimensional()

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """(x - E[x0 | x]) / t."""
        wide = t[:, None]
        return (x - self.mixture(x / (1 - wide), t / (1 - t))) / wide

    def map(self, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The state at time s, by a fourth-order rule; differentiable by everything."""
        h = (s - t) / STEPS
        for step in range(STEPS):
            at, wide = t + step * h, h[:, None]
            k1 = self.velocity(x, at)
            k2 = self.velocity(x + wide / 2 * k1, at + h / 2)
            k3 = self.velocity(x + wide / 2 * k2, at + h / 2)
            k4 = self.velocity(x + wide * k3, at + h)
            x = x + wide / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return x

    def forward(self, x: Tensor, t: Tensor, condition: None, span: Tensor) -> Tensor:
        """The average velocity over a span before t."""
        return (x - self.map(x, t, t - span)) / span[:, None]


class ConsistencyMap(nn.Module):
    """What the network of a consistency model must say for Gaussian data."""

    def __init__(self, mean: float = MEAN, std: float = STD) -> None:
        super().__init__()
        self.classes = ClassEmbedding(0, 1)
        self.mean, self.std = mean, std

    def map(self, y: Tensor, level: Tensor) -> Tensor:
        """The state at the lowest level of the trajectory."""
        lowest = Consistency(LINE, self, fine=20).lowest
        ratio = (self.std**2 + lowest**2) / (self.std**2 + level.square())
        return self.mean + (y - self.mean) * ratio.sqrt()

    def forward(self, x: Tensor, label: Tensor, condition: None) -> Tensor:
        """F, from the input at unit variance and a quarter of the log level."""
        level = (4 * label).exp()[:, None]
        y = x * (level**2 + DATA_STD**2).sqrt()
        above = level - Consistency(LINE, self, fine=20).lowest
        out = DATA_STD * above / (level**2 + DATA_STD**2).sqrt()
        skip = DATA_STD**2 / (above**2 + DATA_STD**2)
        # At the lowest level the output counts nothing.
        return (self.map(y, level) - skip * y) / torch.where(out.abs() > 1e-9, out, 1.0)
