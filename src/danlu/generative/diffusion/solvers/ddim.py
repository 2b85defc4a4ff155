r"""DDIM: exact for a constant denoiser, with any share of fresh noise.

$y_s = D + \sqrt{\hat\sigma_s^2 - \tau^2}\,(y - D)/\hat\sigma + \tau z,\quad
\tau^2 = \eta^2 \frac{\hat\sigma_s^2}{\hat\sigma^2}(\hat\sigma^2 - \hat\sigma_s^2)$.

With $\eta = 0$ it is deterministic and equals Euler in these coordinates and Euler on the linear
path; $\eta = 1$ is the ancestral sampler with its small variance.

Sources: arXiv:2010.02502 eq. 12; kexue.fm/archives/9181.
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.contracts.noise import Noise
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.solvers.solver import Memory, Solver


class DDIM(Solver):
    """Exact for a constant denoiser; `eta` from 0 (deterministic) to 1 (ancestral)."""

    order: ClassVar[int | None] = 1

    def __init__(self, eta: float = 0.0) -> None:
        if not 0.0 <= eta <= 1.0:
            raise DanluError(f"eta goes from 0 (deterministic) to 1 (ancestral), got {eta}.")
        self.eta = eta

    @property
    @override
    def needs_score(self) -> bool:
        return self.eta > 0

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
        variance = self.eta**2 * (level_next / level) ** 2 * (level**2 - level_next**2)
        direction = (level_next**2 - variance) ** 0.5 / level
        y_next = data + direction * (y - data)
        if variance > 0:
            y_next = y_next + variance**0.5 * noise.normal(*y.shape[1:])
        return y_next, None
