r"""Discrete diffusion: a table of T noise steps, continued between them.

Step i forgets a share $\beta_i$ of the variance, $\bar\alpha_i = \prod_{j\le i}(1 - \beta_j)$, and
$x_{t_i} = \sqrt{\bar\alpha_i} x_0 + \sqrt{1 - \bar\alpha_i}\,\varepsilon$ at $t_i = i/T$. Between
the steps $\log\hat\sigma$ is linear in time, with
$\hat\sigma_i^2 = (1 - \bar\alpha_i)/\bar\alpha_i$, so that any number of steps and any solver can
be taken and the table holds exactly at its own times.

- linear: $\beta$ from 1e-4 to 0.02 (T = 1000).
- scaled-linear: $\sqrt\beta$ even from $\sqrt{0.00085}$ to $\sqrt{0.012}$ (latent diffusion).
- cosine: $\beta$ of the cosine path, at most 0.999.

Sources: arXiv:2006.11239 §4 (linear), arXiv:2112.10752 (scaled-linear), arXiv:2102.09672 eq. 17
(cosine).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.generative.diffusion.beta_paths import CosineBeta
from danlu.generative.diffusion.paths import Path, Point

STEPS = 1000
LARGEST_BETA = 0.999


def linear_betas(steps: int = STEPS) -> Float[Tensor, " steps"]:
    """Evenly growing shares; for another number of steps they forget as much in all."""
    scale = STEPS / steps
    betas = torch.linspace(1e-4 * scale, 0.02 * scale, steps, dtype=torch.float64)
    return betas.clamp(max=LARGEST_BETA)


def scaled_linear_betas(steps: int = STEPS) -> Float[Tensor, " steps"]:
    """Shares whose square roots grow evenly."""
    scale = (STEPS / steps) ** 0.5
    roots = torch.linspace(0.00085**0.5 * scale, 0.012**0.5 * scale, steps, dtype=torch.float64)
    return roots.square().clamp(max=LARGEST_BETA)


def cosine_betas(steps: int = STEPS) -> Float[Tensor, " steps"]:
    """The shares that the cosine path forgets from step to step."""
    kept, _ = CosineBeta().coefficients(torch.arange(steps + 1, dtype=torch.float64) / steps)
    return (1 - (kept[1:] / kept[:-1]).square()).clamp(max=LARGEST_BETA)


class Discrete(Path):
    """A table of shares, exact at its own times and log-linear between them."""

    latest = 1.0

    def __init__(self, betas: Float[Tensor, " steps"]) -> None:
        if len(betas) < 2 or not bool(((betas > 0) & (betas < 1)).all()):
            raise DanluError("A discrete path needs at least two steps, each in (0, 1).")
        self.steps = len(betas)
        self.earliest = 1 / self.steps
        log_kept = torch.log1p(-betas.double()).cumsum(0)
        # log of the noise level: (1 - kept) / kept = exp(-log kept) - 1.
        self.log_levels = torch.expm1(-log_kept).log() / 2

    @override
    def coefficients(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        point = self.points(t)
        return point.alpha, point.sigma

    @override
    def rates(
        self, t: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        point = self.points(t)
        return point.alpha_rate, point.sigma_rate

    @override
    def points(self, t: Float[Tensor, "*batch"]) -> Point[Tensor]:
        log_level, rate = self._log_level(t)
        alpha, sigma = (-2 * log_level).sigmoid().sqrt(), (2 * log_level).sigmoid().sqrt()
        rates = -alpha * sigma.square() * rate, sigma * alpha.square() * rate
        return Point(*(field.to(t.dtype) for field in (alpha, sigma, *rates)))

    @override
    def times(self, level: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        table, log_level = self.log_levels.to(level.device), level.double().log()
        # A count, since ONNX has no binary search.
        i = (table < log_level.unsqueeze(-1)).sum(-1).clamp(1, self.steps - 1)
        share = (log_level - table[i - 1]) / (table[i] - table[i - 1])
        return ((i + share) / self.steps).to(level.dtype)

    def _log_level(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithm of the noise level and its rate; the first and last slopes go on outside."""
        # In float64: neighbouring steps of the table differ in the third digit alone.
        table, place = self.log_levels.to(t.device), t.double() * self.steps - 1
        i = place.detach().floor().long().clamp(0, self.steps - 2)
        slope = table[i + 1] - table[i]
        return table[i] + slope * (place - i), slope * self.steps
