r"""DPM-Solver++ 2M: an exponential integrator that remembers the last denoised state.

With $\lambda = -\log\hat\sigma$ and $h = \lambda_s - \lambda_t$,
$y_s = e^{-h} y_t + (1 - e^{-h})\tilde D$ is exact for a constant $\tilde D$. Extrapolating from the
step before, $\tilde D = D + \frac{h}{2 h_{prev}}(D - D_{prev})$, gives order 2 at one evaluation a
step; the first step takes $\tilde D = D$.

Sources: arXiv:2211.01095 alg. 2.
"""

import math
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.solvers.solver import Memory, Solver
from danlu.solvers.noise import Noise


class DPMSolverMultistep(Solver):
    """Second order at one evaluation a step; the memory is (last denoised state, last h)."""

    order: ClassVar[int | None] = 2

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
        data = denoise(y, level)
        h = math.log(level / level_next)
        if memory is None:
            ahead = data
        else:
            data_last, h_last = memory
            ahead = data + h / (2 * h_last) * (data - data_last)
        y_next = ahead + level_next / level * (y - ahead)
        return y_next, (data, h)
