r"""Paths from data (t = 0) to noise (t = 1): $x_t = \alpha_t x_0 + \sigma_t \varepsilon$.

The ratio $\hat\sigma = \sigma/\alpha$ is the noise level that a denoiser sees; $x_t/\alpha_t$ has
no other trace of the path, which is why a model trained on one path is sampled on any other.

- linear (rectified flow): $\alpha = 1 - t,\ \sigma = t$.
- trigonometric: $\alpha = \cos(\pi t/2),\ \sigma = \sin(\pi t/2)$.
- variance-exploding: $\alpha = 1,\ \sigma = \sigma_{\min}(\sigma_{\max}/\sigma_{\min})^t$ with 0.01
  and 50.
- edm: $\alpha = 1,\ \sigma = 80 t$, even in the noise level itself.

Every path is also a diffusion $dx = f x\,dt + g\,dw$ with $f = \dot\alpha/\alpha$ and
$g^2 = 2\sigma\dot\sigma - 2 f\sigma^2$.

Sources: arXiv:2209.03003 (linear), arXiv:2303.08797 (trigonometric), arXiv:2011.13456 eq. 9
(variance-exploding), arXiv:2206.00364 tab. 1 (edm); kexue.fm/archives/9257 (drift and diffusion),
9280.
"""

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError

Number = TypeVar("Number", float, Tensor)


def ratio(a: Number, b: Number) -> Number:
    """A / b; infinite with the sign of a where b is 0, as tensors have it."""
    if isinstance(a, Tensor) or isinstance(b, Tensor) or b != 0:
        return a / b
    return math.copysign(math.inf, a) if a else math.nan


@dataclass(frozen=True, slots=True)
class Point(Generic[Number]):
    """The coefficients of a path at one time, or at a batch of times, and their rates."""

    alpha: Number
    sigma: Number
    alpha_rate: Number
    sigma_rate: Number

    @property
    def level(self) -> Number:
        """The noise level sigma/alpha; infinite where nothing of the data is left."""
        if isinstance(self.alpha, Tensor):
            return self.sigma / self.alpha
        return self.sigma / self.alpha if self.alpha > 0 else math.inf

    @property
    def snr(self) -> Number:
        """The signal-to-noise ratio alpha^2 / sigma^2."""
        return ratio(self.alpha**2, self.sigma**2)

    @property
    def drift(self) -> Number:
        """The forward equation's f, where its drift is f x."""
        return ratio(self.alpha_rate, self.alpha)

    @property
    def squared_diffusion(self) -> Number:
        """The forward equation's g squared."""
        return 2 * self.sigma * (self.sigma_rate - self.drift * self.sigma)

    def score(
        self: "Point[float]", x: Float[Tensor, "*shape"], data: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """The score of a noisy state by the data that it lets expect.

        Raises:
            DanluError: there is no noise, where the density has no gradient.
        """
        if not self.sigma**2 > sys.float_info.min:
            raise DanluError("There is no score at the data's end of a path, where no noise is.")
        return (self.alpha * data - x) / self.sigma**2

    def like(self, x: Float[Tensor, "batch ..."]) -> "Point[Tensor]":
        """The coefficients of a batch, each shaped to multiply a row of `x`."""
        shape = (-1, *[1] * (x.dim() - 1))
        fields = (self.alpha, self.sigma, self.alpha_rate, self.sigma_rate)
        return Point(*(torch.as_tensor(field).view(shape) for field in fields))

    def rows(self: "Point[float]", x: Float[Tensor, "batch ..."]) -> "Point[Tensor]":
        """The coefficients of one time, once for each row of `x`."""
        fields = (self.alpha, self.sigma, self.alpha_rate, self.sigma_rate)
        return Point(*(x.new_full((len(x),), field) for field in fields))


class Path(ABC):
    """Coefficients as functions of time.

    Attributes:
        earliest: first time of training; samplers and likelihoods stay within.
        latest: last time of training.
    """

    earliest: float = 1e-3
    latest: float = 1 - 1e-3

    @abstractmethod
    def coefficients(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        """(alpha, sigma) of a batch of times."""

    @abstractmethod
    def rates(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        """Their derivatives by time."""

    @abstractmethod
    def times(self, level: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The times at which sigma/alpha has the given values."""

    def points(self, t: Float[Tensor, "*batch"]) -> "Point[Tensor]":
        """Coefficients and rates of a batch of times."""
        return Point(*self.coefficients(t), *self.rates(t))

    def at(self, t: float) -> "Point[float]":
        """Coefficients and rates at one time, computed in float64."""
        point = self.points(torch.tensor(t, dtype=torch.float64))
        return Point(*(float(getattr(point, name)) for name in Point.__slots__))

    def levels_at(self, times: Sequence[float]) -> list[float]:
        """The noise levels at many times, computed at once in float64."""
        alpha, sigma = self.coefficients(torch.tensor(list(times), dtype=torch.float64))
        return torch.where(alpha > 0, sigma / alpha, math.inf).tolist()

    def time(self, level: float) -> float:
        """The time at which sigma/alpha is `level`."""
        return float(self.times(torch.tensor(level, dtype=torch.float64)))

    def levels(self) -> tuple[float, float]:
        """The lowest and the highest noise level of training."""
        return self.at(self.earliest).level, self.at(self.latest).level


class Linear(Path):
    """Straight lines between data and noise."""

    @override
    def coefficients(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        return 1 - t, t

    @override
    def rates(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        return -torch.ones_like(t), torch.ones_like(t)

    @override
    def times(self, level: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return torch.where(level.isinf(), 1.0, level / (1 + level))


class Trigonometric(Path):
    """A quarter circle: the variance is preserved when the data has unit variance."""

    @override
    def coefficients(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        angle = math.pi / 2 * t
        return angle.cos(), angle.sin()

    @override
    def rates(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        angle = math.pi / 2 * t
        return -math.pi / 2 * angle.sin(), math.pi / 2 * angle.cos()

    @override
    def times(self, level: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return level.atan() * (2 / math.pi)


class VarianceExploding(Path):
    """Data that stays, noise whose level grows geometrically."""

    earliest = 0.0
    latest = 1.0
    lowest = 0.01
    highest = 50.0

    @override
    def coefficients(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        return torch.ones_like(t), self.lowest * (self.highest / self.lowest) ** t

    @override
    def rates(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        _, sigma = self.coefficients(t)
        return torch.zeros_like(t), math.log(self.highest / self.lowest) * sigma

    @override
    def times(self, level: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return (level / self.lowest).log() / math.log(self.highest / self.lowest)


class EDM(Path):
    """Data that stays, noise whose level grows evenly; trained from level 0.002 to 80."""

    highest = 80.0
    earliest = 0.002 / highest
    latest = 1.0

    @override
    def coefficients(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        return torch.ones_like(t), self.highest * t

    @override
    def rates(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        return torch.zeros_like(t), torch.full_like(t, self.highest)

    @override
    def times(self, level: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return level / self.highest
