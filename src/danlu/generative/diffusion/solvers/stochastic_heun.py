r"""Heun in noise levels with churn: each step first goes a little back up by fresh noise.

The level is raised to $\hat\sigma' = (1 + \gamma)\hat\sigma$ with
$y' = y + \sqrt{\hat\sigma'^2 - \hat\sigma^2}\,z$, then Heun's rule takes
$dy/d\hat\sigma = (y - D)/\hat\sigma$ from $\hat\sigma'$ to the next level. The fresh noise mends
errors of earlier steps, at the price of more of them. Levels are raised only where the raised one
lies between 0.05 and 50.

Sources: arXiv:2206.00364 alg. 2, whose $S_{churn}$ is $\gamma$ times the number of steps.
"""

import math
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.contracts.noise import Noise
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.solvers.solver import Memory, Solver

LARGEST_CHURN = math.sqrt(2) - 1
"""Raises a variance to twice its size."""
CHURN_FROM, CHURN_TO = 0.05, 50.0


class StochasticHeun(Solver):
    """Heun in noise levels; `churn` is the relative raise of the level before each step."""

    order: ClassVar[int | None] = 2
    calls: ClassVar[int] = 2

    def __init__(self, churn: float = 0.0) -> None:
        if not 0.0 <= churn <= LARGEST_CHURN:
            raise DanluError(f"churn goes from 0 to {LARGEST_CHURN:.4f} a step, got {churn}.")
        self.churn = churn

    @property
    @override
    def needs_score(self) -> bool:
        return self.churn > 0

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
        raised = (1 + self.churn) * level
        if self.churn > 0 and CHURN_FROM <= raised <= CHURN_TO:
            y = y + math.sqrt(raised**2 - level**2) * noise.normal(*y.shape[1:])
            level = raised
        slope = (y - denoise(y, level)) / level
        guess = y + (level_next - level) * slope
        slope_next = (guess - denoise(guess, level_next)) / level_next
        return y + (level_next - level) / 2 * (slope + slope_next), None
