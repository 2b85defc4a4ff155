r"""Predictor-corrector: an ancestral step down, then a Langevin step at the new level.

The Langevin step $y \leftarrow y + a\hat\sigma^2 s + \hat\sigma\sqrt{2a}\,z$, with the score
$s = (D - y)/\hat\sigma^2$ and $a = 2r^2$, leaves the marginal of its level in place but for its
finite size, and so mends what the predictor did. The source measures the size of each batch's
scores and draws; their expected sizes are taken here, so that no sample depends on its batch mates.

Sources: arXiv:2011.13456 alg. 2 to 5.
"""

import math
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.contracts.noise import Noise
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.solvers.ancestral import Ancestral
from danlu.generative.diffusion.solvers.solver import Memory, Solver

RATIO = 0.16


class PredictorCorrector(Solver):
    """The ancestral chain with a Langevin step of signal-to-noise `ratio` after each step."""

    order: ClassVar[int | None] = None
    calls: ClassVar[int] = 2

    def __init__(self, ratio: float = RATIO) -> None:
        if not 0.0 < ratio <= 0.5**0.5:
            raise DanluError(f"The ratio of a Langevin step is in (0, 0.7071], got {ratio}.")
        self.size = 2 * ratio**2
        self.predictor = Ancestral()

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
        y, _ = self.predictor.step(denoise, y, level, level_next, noise, None)
        data = denoise(y, level_next)
        std = level_next * math.sqrt(2 * self.size)
        return y + self.size * (data - y) + std * noise.normal(*y.shape[1:]), None
