r"""DPM-Solver++ 2S: the midpoint rule of exponential integrators.

A DDIM step to the middle in $\lambda = -\log\hat\sigma$, where
$\hat\sigma_m = \sqrt{\hat\sigma\hat\sigma_s}$, and a DDIM step from the start with the denoised
state found there: $y_s = e^{-h} y + (1 - e^{-h}) D(y_m, \hat\sigma_m)$. Order 2 at two evaluations
a step, without a memory; 1S is DDIM itself.

Use it where steps are long or uneven; DPM-Solver++ 2M is as good for half the evaluations else.

Sources: arXiv:2211.01095 alg. 1 with r = 1/2.
"""

import math
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts.noise import Noise
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.solvers.exponential import Known, advance
from danlu.generative.diffusion.solvers.solver import Memory, Solver


def half_way(
    denoise: Denoiser,
    y: Float[Tensor, "batch ..."],
    level: float,
    level_next: float,
    data: Float[Tensor, "batch ..."],
) -> Known:
    """The middle level and the denoised state there, after a DDIM step."""
    middle = math.sqrt(level * level_next)
    return middle, denoise(advance(y, level, middle, [(level, data)]), middle)


class DPMSolverSinglestep(Solver):
    """Second order at two evaluations a step, without a memory."""

    order: ClassVar[int | None] = 2
    calls: ClassVar[int] = 2

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
        _, data = half_way(denoise, y, level, level_next, denoise(y, level))
        return advance(y, level, level_next, [(level, data)]), None
