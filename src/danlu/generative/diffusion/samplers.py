r"""Solvers that turn noise into data with any denoiser on any explicit grid.

A state is kept as $y = x_t/\alpha_t = x_0 + \hat\sigma\varepsilon$. An ODE solver takes one step of
the probability flow $\dot x = \dot\alpha D + \dot\sigma (y - D)/\hat\sigma$ on its own path.
DDIM solves the step exactly for a constant D and may add noise:

$y_s = D + \sqrt{\hat\sigma_s^2 - \tau^2}\,(y - D)/\hat\sigma + \tau z,\quad
\tau^2 = \eta^2 \frac{\hat\sigma_s^2}{\hat\sigma^2}(\hat\sigma^2 - \hat\sigma_s^2)$.

With $\eta = 0$ it equals Euler in these coordinates and Euler on the linear path; $\eta = 1$ is
the ancestral sampler of DDPM. The last step, to level 0, returns D.

Sources: arXiv:2010.02502 eq. 12 (DDIM), arXiv:2206.00364 alg. 1 (Heun), kexue.fm/archives/9181.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.paths import Linear, Path
from danlu.solvers.noise import Noise
from danlu.solvers.steppers import Euler, Heun, Stepper


class Sampler(ABC):
    """One step between two noise levels."""

    @abstractmethod
    def step(
        self,
        denoise: Denoiser,
        y: Float[Tensor, "batch ..."],
        level: float,
        level_next: float,
        noise: Noise,
    ) -> Float[Tensor, "batch ..."]:
        """The state at the next, lower level (above 0)."""

    @abstractmethod
    def steps(self, evaluations: int) -> int:
        """How many steps a number of denoiser evaluations pays for, the last one included."""


class OdeSampler(Sampler):
    """A stepper on the probability-flow ODE of a path."""

    def __init__(self, stepper: Stepper, path: Path) -> None:
        self.stepper = stepper
        self.path = path

    @override
    def step(
        self,
        denoise: Denoiser,
        y: Float[Tensor, "batch ..."],
        level: float,
        level_next: float,
        noise: Noise,
    ) -> Float[Tensor, "batch ..."]:
        """The state at the next level, deterministic."""
        t, t_next = self.path.time(level), self.path.time(level_next)
        x = self.path.at(t).alpha * y
        x = self.stepper.step(probability_flow(denoise, self.path), x, t, t_next)
        return x / self.path.at(t_next).alpha

    @override
    def steps(self, evaluations: int) -> int:
        return (evaluations - 1) // self.stepper.evaluations + 1


class EulerSampler(OdeSampler):
    """Euler on the linear path: one evaluation a step."""

    def __init__(self) -> None:
        super().__init__(Euler(), Linear())


class HeunSampler(OdeSampler):
    """Heun on the linear path: two evaluations a step but for the last."""

    def __init__(self) -> None:
        super().__init__(Heun(), Linear())


class DDIM(Sampler):
    """Exact for a constant denoiser; `eta` from 0 (deterministic) to 1 (ancestral)."""

    def __init__(self, eta: float = 0.0) -> None:
        if not 0.0 <= eta <= 1.0:
            raise DanluError(f"eta goes from 0 (deterministic) to 1 (ancestral), got {eta}.")
        self.eta = eta

    @override
    def step(
        self,
        denoise: Denoiser,
        y: Float[Tensor, "batch ..."],
        level: float,
        level_next: float,
        noise: Noise,
    ) -> Float[Tensor, "batch ..."]:
        """The state at the next level."""
        data = denoise(y, level)
        variance = self.eta**2 * (level_next / level) ** 2 * (level**2 - level_next**2)
        direction = (level_next**2 - variance) ** 0.5 / level
        y_next = data + direction * (y - data)
        if variance > 0:
            y_next = y_next + variance**0.5 * noise.normal(*y.shape[1:])
        return y_next

    @override
    def steps(self, evaluations: int) -> int:
        return evaluations


def probability_flow(denoise: Denoiser, path: Path):  # noqa: ANN201
    """The drift dx/dt of a path's deterministic flow, for steppers."""

    def drift(x: Tensor, t: float) -> Tensor:
        point = path.at(t)
        y = x / point.alpha
        data = denoise(y, point.level)
        return point.alpha_rate * data + point.sigma_rate * (y - data) / point.level

    return drift


def run(
    sampler: Sampler,
    denoise: Denoiser,
    y: Float[Tensor, "batch ..."],
    grid: Sequence[float],
    noise: Noise,
) -> Float[Tensor, "batch ..."]:
    """Carry a state at `grid[0]` along the grid; a final level 0 returns the denoised state."""
    for level, level_next in pairwise(grid):
        if level_next == 0.0:
            return denoise(y, level)
        y = sampler.step(denoise, y, level, level_next, noise)
    return y
