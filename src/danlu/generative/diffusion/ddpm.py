r"""DDPM: a chain of small Gaussian steps from noise to data, trained to name the noise.

A table of shares $\beta_i$ turns data into noise, $x_i = \sqrt{\bar\alpha_i} x_0 +
\sqrt{1-\bar\alpha_i}\,\varepsilon$; a network learns $\varepsilon$ by least squares over all steps
alike, and the ancestral sampler goes back step by step. Being a denoiser, it takes any other
solver too, such as DDIM with few steps. The likelihood is the chain's variational bound, with its
discrete last step; that of the probability flow can be asked for.

Use it as the classical baseline; it needs more evaluations a sample than a rectified flow.

Sources: arXiv:2006.11239, arXiv:2102.09672 (cosine table); kexue.fm/archives/9119, 9152, 9164.
"""

from dataclasses import dataclass
from typing import ClassVar

from danlu.contracts import DataDescription
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.networks import ConditionedNetwork, NetworkOptions
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.parts import Parts
from danlu.generative.diffusion.recipes import FEW_STEPS
from danlu.generative.recipe import Recipe, Recipes, Regime, plan_of
from danlu.generative.tiny import TINY

PARTS = Parts(path="discrete-linear", prediction="noise", weighting="simple", times="steps")


@dataclass(frozen=True, kw_only=True, slots=True)
class DDPMOptions(DiffusionOptions):
    """Options of sampling and likelihood, with the defaults of the original chain."""

    solver: str = "ancestral"
    evaluations: int = 1000
    likelihood: str = "bound"


class DDPM(DiffusionModel):
    """Noise prediction over a discrete table of steps, sampled and scored as a chain."""

    Options: ClassVar[type] = DDPMOptions
    continuous: ClassVar[bool] = False


def build(
    description: DataDescription = TINY,
    *,
    width: int = 16,
    levels: int = 1,
    blocks: int = 1,
    patch: int = 1,
    features: int = 32,
    parts: str = "",
) -> DDPM:
    """A DDPM for the described data; the defaults are tiny.

    `parts` changes what it is trained by, such as `prediction=v,weighting=min-snr`.
    """
    size = NetworkOptions(width=width, levels=levels, blocks=blocks, patch=patch, features=features)
    return DDPM(description, ConditionedNetwork(description, size), PARTS.changed(parts))


RECIPES: Recipes = {
    Regime.VECTOR: Recipe(
        model={"width": 128, "blocks": 3, "features": 128},
        plan=plan_of(256, 2e-3),
        options=FEW_STEPS,
    ),
    Regime.SMALL_IMAGE: Recipe(
        model={"width": 64, "levels": 1, "blocks": 1, "patch": 2, "features": 128},
        plan=plan_of(64, 2e-3),
        options={**FEW_STEPS, "guidance": 2.0},
    ),
    Regime.IMAGE: Recipe(
        # On images the noise alone says too little at high levels for a budget of minutes.
        model={
            "width": 32,
            "levels": 2,
            "blocks": 1,
            "patch": 2,
            "features": 256,
            "parts": "prediction=v",
        },
        plan=plan_of(64, 2e-3),
        options={**FEW_STEPS, "guidance": 2.0},
    ),
}
