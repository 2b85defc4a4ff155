r"""DPM-Solver++ 2M: an exponential integrator that remembers the last denoised state.

With $\lambda = -\log\hat\sigma$ and $h = \lambda_s - \lambda_t$,
$y_s = e^{-h} y_t + (1 - e^{-h})\tilde D$ is exact for a constant $\tilde D$. Extrapolating from the
step before, $\tilde D = D + \frac{h}{2 h_{prev}}(D - D_{prev})$, gives order 2 at one evaluation a
step; the first step takes $\tilde D = D$, which is DDIM.

Sources: arXiv:2211.01095 alg. 2.
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts.noise import Noise
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.solvers.exponential import (
    Share,
    advance,
    no_noise,
    renewed,
    spent,
)
from danlu.generative.diffusion.solvers.solver import Memory, Solver


class DPMSolverMultistep(Solver):
    """Second order at one evaluation a step; the memory is the last denoised state."""

    order: ClassVar[int | None] = 2
    share: Share = staticmethod(no_noise)

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
        known = [now] if memory is None else [now, memory]
        fresh = spent(self.share, level, level_next)
        mean = advance(y, level, level_next, known, fresh)
        return renewed(mean, level_next, fresh, noise), now
