r"""Score SDE: learn the score of data under a diffusion, sample by reversing the diffusion.

Data follows $dx = f x\,dt + g\,dw$; its law $p_t$ has a score $s = \nabla\log p_t(x)$, learned by
denoising score matching, $\sigma_t^2\,\|s_\theta(x_t, t) + \varepsilon/\sigma_t\|^2$, with
$s_\theta = -F_\theta/\sigma_t$ for a network F of unit size. The reverse equation is run in steps
down (predictor), each mended by a Langevin step with the score (corrector). Its deterministic
counterpart gives codes and likelihoods. Paths:

- variance-exploding: $f = 0$, levels from 0.01 to 50, geometric in time. The network sees its input
  at unit size and the logarithm of the level.
- sub-vp: the variance-preserving mean with less noise, which likelihoods like best.
- vp-linear: the limit of DDPM.

Use it where the equation itself matters: other reverse processes, correctors, or likelihoods
(sub-vp). For samples a rectified flow or EDM needs fewer evaluations.

Sources: arXiv:2011.13456 eq. 5-7, 9-11, 29, alg. 2-5; arXiv:1907.05600 (annealed Langevin steps).
"""

from dataclasses import dataclass
from typing import ClassVar

from danlu.contracts import DataDescription, unknown
from danlu.generative.diffusion.building import builder
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.parts import Parts
from danlu.generative.diffusion.recipes import usual
from danlu.generative.tiny import TINY

EXPLODING = "variance-exploding"
PATHS = {EXPLODING: "edm", "sub-vp": "plain", "vp-linear": "plain"}
"""Paths with their preconditioners: of those that preserve variance the state has unit size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreSDEOptions(DiffusionOptions):
    """Options of sampling and likelihood, with the sampler of the source."""

    solver: str = "predictor-corrector"
    grid: str = "linspace"
    evaluations: int = 2000


class ScoreSDE(DiffusionModel):
    """A score network over continuous time."""

    Options: ClassVar[type] = ScoreSDEOptions


def build(
    description: DataDescription = TINY,
    *,
    width: int = 16,
    levels: int = 1,
    blocks: int = 1,
    patch: int = 1,
    network: str = "unet",
    path: str = EXPLODING,
) -> ScoreSDE:
    """A score model for the described data under a diffusion; the defaults are tiny.

    Raises:
        DanluError: the path is none of those of score models.
    """
    if path not in PATHS:
        raise unknown("path of a score model", path, PATHS)
    parts = Parts(
        path=path,
        prediction="noise",
        preconditioner=PATHS[path],
        weighting="simple",
        times="uniform",
    )
    return builder(ScoreSDE, parts)(
        description, width=width, levels=levels, blocks=blocks, patch=patch, network=network
    )


RECIPES = usual(options={"evaluations": 100, "grid": "logarithmic"})
