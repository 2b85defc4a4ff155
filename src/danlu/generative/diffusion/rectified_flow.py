r"""Rectified flow: learn the velocity of straight lines from data to noise.

With $x_t = (1-t) x_0 + t\varepsilon$, a network learns the velocity
$v(x, t) = E[\varepsilon - x_0 \mid x_t = x]$ by least squares; $\dot x = v$ carries noise to data.
As a denoiser, $D(y, \hat\sigma) = x - t\,v(x, t)$ at $t = \hat\sigma/(1+\hat\sigma)$ and
$x = (1-t) y$, so any solver, grid and guidance applies. Discrete data is dequantised, and
samples are rounded to its levels. The likelihood is the probability flow's.

Use it when you want the best samples for a budget and can pay several evaluations a sample.

Sources: arXiv:2209.03003 eq. 1, arXiv:2210.02747; kexue.fm/archives/9280, 9379, 9497.
"""

from danlu.contracts import DataDescription
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.networks import ConditionedNetwork, NetworkOptions
from danlu.generative.diffusion.parts import Parts
from danlu.generative.recipe import Recipe, Recipes, Regime, plan_of
from danlu.generative.tiny import TINY


class RectifiedFlow(DiffusionModel):
    """Straight-path flow matching with a U-Net (images) or an MLP (vectors)."""


def build(  # noqa: PLR0913 - runs before `parts` have their times by name
    description: DataDescription = TINY,
    *,
    width: int = 16,
    levels: int = 1,
    blocks: int = 1,
    patch: int = 1,
    features: int = 32,
    times: str = "logit-normal",
    parts: str = "",
) -> RectifiedFlow:
    """A rectified flow for the described data; the defaults are tiny.

    `parts` changes what it is trained by, such as `coupling=class-optimal`.
    """
    size = NetworkOptions(width=width, levels=levels, blocks=blocks, patch=patch, features=features)
    chosen = Parts(times=times).changed(parts)
    return RectifiedFlow(description, ConditionedNetwork(description, size), chosen)


RECIPES: Recipes = {
    Regime.VECTOR: Recipe(
        model={"width": 128, "blocks": 3, "features": 128},
        plan=plan_of(256, 2e-3),
    ),
    Regime.SMALL_IMAGE: Recipe(
        model={"width": 32, "levels": 1, "blocks": 2, "features": 128},
        plan=plan_of(64, 2e-3),
    ),
    Regime.IMAGE: Recipe(
        model={"width": 64, "levels": 2, "blocks": 1, "patch": 2, "features": 256},
        plan=plan_of(64, 2e-3),
        options={"guidance": 3.0, "guided_until": 0.8},
    ),
}
