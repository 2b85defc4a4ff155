r"""Euler-Maruyama on the reverse equations of a path, with any share of fresh noise.

$dx = [f x - \tfrac12(1 + \kappa) g^2 s]\,dt + \sqrt\kappa\,g\,dw$ run backwards in time keeps the
marginals for every function $\kappa(\hat\sigma) \ge 0$, with the score
$s = (\alpha D - x)/\sigma^2$ and $f, g$ of the path. $\kappa = 1$, the default, is the reverse of
the forward diffusion and has its joint law too; $\kappa = 0$ is the probability flow. The path is
variance-preserving by default, on which the equation is not stiff at the noise.

Use it to study the equation itself; for samples the ancestral chain is exact where this is not.

Sources: arXiv:2011.13456 eq. 6; kexue.fm/archives/9209, 9257.
"""

import math
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts.noise import Noise
from danlu.generative.diffusion.beta_paths import LinearBeta
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.paths import Path
from danlu.generative.diffusion.solvers.exponential import Share, all_noise
from danlu.generative.diffusion.solvers.solver import Memory, Solver


class EulerMaruyama(Solver):
    """One evaluation a step on the reverse equation of `path` with a share of fresh noise."""

    order: ClassVar[int | None] = None

    def __init__(self, share: Share = all_noise, path: Path | None = None) -> None:
        self.share = share
        self.path = path or LinearBeta()

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
        point, share = self.path.at(t), self.share(level)
        squared = point.squared_diffusion
        data = denoise(y, level)
        score = point.score(point.alpha * y, data)
        slope = point.drift * point.alpha * y - (1 + share) / 2 * squared * score
        x = point.alpha * y + (t_next - t) * slope
        if share > 0:
            x = x + math.sqrt(share * squared * (t - t_next)) * noise.normal(*y.shape[1:])
        return x / self.path.at(t_next).alpha, None
