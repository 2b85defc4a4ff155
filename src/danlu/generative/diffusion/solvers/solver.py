r"""What a solver is: one step between two noise levels, with a memory of its own.

A state is kept as $y = x_t/\alpha_t = x_0 + \hat\sigma\varepsilon$. A step goes from $\hat\sigma$
to a lower level above 0 and may hand a memory to the next step, such as earlier denoised states;
the first step is given None. `run` walks a grid; its last step, to level 0, returns D.

Sources: arXiv:2206.00364 §3.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from danlu.contracts.noise import Noise
from danlu.generative.diffusion.denoiser import Denoiser

Memory = Any
"""Whatever a solver hands to its own next step; None before the first."""


class Solver(ABC):
    """One step between two noise levels; instances hold settings and no state.

    Attributes:
        order: of the error on the probability flow as built by default; None for solvers that
            are never deterministic.
        calls: denoiser evaluations of a step.
        start_calls: more of them in the first step.
    """

    order: ClassVar[int | None]
    calls: ClassVar[int] = 1
    start_calls: ClassVar[int] = 0

    @property
    def needs_score(self) -> bool:
        """Whether it adds fresh noise, which takes the denoiser for a score."""
        return self.order is None

    @abstractmethod
    def step(
        self,
        denoise: Denoiser,
        y: Float[Tensor, "batch ..."],
        level: float,
        level_next: float,
        noise: Noise,
        memory: Memory,
    ) -> tuple[Float[Tensor, "batch ..."], Memory]:
        """The state at the next, lower level (above 0), and the memory for the step after."""

    def steps(self, evaluations: int) -> int:
        """How many steps a number of evaluations pays for, at least one; the last costs one."""
        return max((evaluations - 1 - self.start_calls) // self.calls + 1, 1)


def run(
    solver: Solver,
    denoise: Denoiser,
    y: Float[Tensor, "batch ..."],
    grid: Sequence[float],
    noise: Noise,
) -> Float[Tensor, "batch ..."]:
    """Carry a state at `grid[0]` along the grid; a final level 0 returns the denoised state."""
    memory: Memory = None
    for level, level_next in pairwise(grid):
        if level_next == 0.0:
            return denoise(y, level)
        y, memory = solver.step(denoise, y, level, level_next, noise, memory)
    return y
