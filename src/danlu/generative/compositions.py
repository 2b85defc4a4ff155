r"""Latent flow: a VAE makes short codes, a rectified flow learns how they are distributed.

The VAE's posterior codes do not quite follow its Gaussian prior; a flow over the codes closes
that gap at a fraction of the cost of a flow over the data, since the codes are short. The VAE
never sees the class, so that the codes carry it and the flow alone is conditional.

Use it when the data is large and a flow over it is too slow for the budget.

Sources: arXiv:2112.10752 (latent diffusion), arXiv:2106.05931 (score models over VAE codes).
"""

from dataclasses import replace

from danlu.contracts import DataDescription
from danlu.generative.composing import prior_of
from danlu.generative.recipe import Recipe, Recipes, Regime, plan_of
from danlu.generative.stages import Staged
from danlu.generative.tiny import TINY
from danlu.generative.vae.vae import build as build_vae


def latent_flow(
    description: DataDescription = TINY,
    *,
    latent: int = 16,
    width: int = 32,
    flow_width: int = 128,
    flow_blocks: int = 3,
    share: float = 0.6,
    prior: str = "rectified-flow",
) -> Staged:
    """A VAE and a family over its code, a flow; the VAE gets `share` of the budget."""
    first = build_vae(replace(description, condition=None), latent=latent, width=width)
    code = replace(first.prior.description, condition=description.condition)
    second = prior_of(prior, code, width=flow_width, blocks=flow_blocks, features=flow_width)
    return Staged(description, first, second, share=share)


RECIPES: Recipes = {
    Regime.VECTOR: Recipe(plan=plan_of(256, 2e-3)),
    Regime.SMALL_IMAGE: Recipe(plan=plan_of(128, 2e-3)),
    Regime.IMAGE: Recipe(plan=plan_of(64, 2e-3)),
}
