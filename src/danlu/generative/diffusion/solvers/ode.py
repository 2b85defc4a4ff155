r"""Steppers of ordinary differential equations on the probability flow of the linear path.

$\dot x = \dot\alpha D + \dot\sigma (y - D)/\hat\sigma$ with $y = x/\alpha$ carries noise to data
without randomness. On the linear path it is the straight-line velocity, and bends least.

- euler: one evaluation a step, order 1; the same as DDIM with $\eta = 0$.
- heun: two evaluations a step but for the last, order 2.

Sources: arXiv:2209.03003 (euler), arXiv:2206.00364 alg. 1 (heun).
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts.noise import Noise
from danlu.generative.diffusion.denoiser import Denoiser, probability_flow
from danlu.generative.diffusion.paths import Linear, Path
from danlu.generative.diffusion.solvers.solver import Memory, Solver
from danlu.solvers.steppers import Euler, Heun, Stepper


class OdeSolver(Solver):
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
        memory: Memory,
    ) -> tuple[Float[Tensor, "batch ..."], Memory]:
        t, t_next = self.path.time(level), self.path.time(level_next)
        x = self.path.at(t).alpha * y
        x = self.stepper.step(probability_flow(denoise, self.path), x, t, t_next)
        return x / self.path.at(t_next).alpha, None


class EulerSolver(OdeSolver):
    """Euler on the linear path: one evaluation a step."""

    order: ClassVar[int | None] = 1

    def __init__(self) -> None:
        super().__init__(Euler(), Linear())


class HeunSolver(OdeSolver):
    """Heun on the linear path: two evaluations a step but for the last."""

    order: ClassVar[int | None] = 2
    calls: ClassVar[int] = 2

    def __init__(self) -> None:
        super().__init__(Heun(), Linear())
