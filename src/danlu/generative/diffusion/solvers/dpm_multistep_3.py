r"""DPM-Solver++ 3M: an exponential integrator that remembers two denoised states.

With $h = \lambda_s - \lambda_t$ the step $y_s = e^{-h} y + \int_0^1 h e^{-h(1-u)} D(u)\,du$ takes
for D the parabola in $\lambda$ through the last three denoised states, which gives order 3 at one
evaluation a step. The first step evaluates its middle too: started as DDIM, no later step could
mend its error.

Sources: arXiv:2211.01095 app. B, arXiv:2206.00927 alg. 1 (the middle).
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts.noise import Noise
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.solvers.dpm_singlestep import half_way
from danlu.generative.diffusion.solvers.exponential import advance
from danlu.generative.diffusion.solvers.solver import Memory, Solver


class DPMSolverMultistep3(Solver):
    """Third order at one evaluation a step; the memory is the last two denoised states."""

    order: ClassVar[int | None] = 3
    start_calls: ClassVar[int] = 1

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
        now = (level, denoise(y, level))
        if memory is None:
            middle = half_way(denoise, y, level, level_next, now[1])
            data = middle[1]
            return advance(y, level, level_next, [(level, data)]), (middle, now)
        known = [now, *memory]
        return advance(y, level, level_next, known), (now, memory[0])
