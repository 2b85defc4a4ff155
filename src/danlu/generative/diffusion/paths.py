r"""Paths from data (t = 0) to noise (t = 1): $x_t = \alpha_t x_0 + \sigma_t \varepsilon$.

The ratio $\hat\sigma = \sigma/\alpha$ is the noise level that a denoiser sees; $x_t/\alpha_t$ has
no other trace of the path, which is why a model trained on one path is sampled on any other.

- linear (rectified flow): $\alpha = 1 - t,\ \sigma = t$.
- trigonometric: $\alpha = \cos(\pi t/2),\ \sigma = \sin(\pi t/2)$.

Sources: arXiv:2209.03003 (linear), arXiv:2303.08797 (trigonometric); kexue.fm/archives/9280.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override


@dataclass(frozen=True, slots=True)
class Point:
    """The coefficients of a path at one time, and their rates."""

    alpha: float
    sigma: float
    alpha_rate: float
    sigma_rate: float

    @property
    def level(self) -> float:
        """The noise level sigma/alpha; infinite at the noise end."""
        return self.sigma / self.alpha if self.alpha > 0 else math.inf


class Path(ABC):
    """Coefficients as functions of time, for floats (solvers) and tensors (training)."""

    @abstractmethod
    def at(self, t: float) -> Point:
        """Coefficients and rates at a time."""

    @abstractmethod
    def time(self, level: float) -> float:
        """The time at which sigma/alpha is `level`."""

    @abstractmethod
    def coefficients(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        """(alpha, sigma) of a batch of times."""


class Linear(Path):
    """Straight lines between data and noise."""

    @override
    def at(self, t: float) -> Point:
        return Point(1 - t, t, -1.0, 1.0)

    @override
    def time(self, level: float) -> float:
        return 1.0 if math.isinf(level) else level / (1 + level)

    @override
    def coefficients(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        """(alpha, sigma) of a batch of times."""
        return 1 - t, t


class Trigonometric(Path):
    """A quarter circle: the variance is preserved when the data has unit variance."""

    @override
    def at(self, t: float) -> Point:
        angle = math.pi / 2 * t
        cos, sin = math.cos(angle), math.sin(angle)
        return Point(cos, sin, -math.pi / 2 * sin, math.pi / 2 * cos)

    @override
    def time(self, level: float) -> float:
        return math.atan(level) * 2 / math.pi

    @override
    def coefficients(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        """(alpha, sigma) of a batch of times."""
        angle = math.pi / 2 * t
        return angle.cos(), angle.sin()
