"""Recipes: what a family is trained with on a kind of data, unless settings say otherwise.

A recipe is data: sizes of the model, the plan of training, and the options of sampling. It was
chosen on validation data; `--set` changes any of its fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import sqrt
from typing import Any

from danlu.contracts import DataDescription
from danlu.optim import OptimizerOptions
from danlu.training import Plan

SMALL_SIDE = 16
LARGEST_AMOS_RATE = 0.1
"""Small sets would ask for more, and short runs on digits and two-moons lost nothing by it."""


class Kind(StrEnum):
    """Kinds of data that want different sizes."""

    VECTOR = "vector"
    SMALL_IMAGE = "small image"
    IMAGE = "image"
    TEXT = "text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How a family is trained and sampled.

    Attributes:
        model: settings of the family's builder.
        plan: batch, optimisers, clipping and averaging.
        options: options of sampling and likelihood.
    """

    plan: Plan
    model: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def kind_of(description: DataDescription) -> Kind:
    """The kind of the described data."""
    if description.is_text:
        return Kind.TEXT
    if not description.is_image:
        return Kind.VECTOR
    return Kind.SMALL_IMAGE if max(description.shape[1:]) <= SMALL_SIDE else Kind.IMAGE


def recipe_for(family: str, description: DataDescription) -> Recipe:
    """The recipe of a family for the described data; the default one for foreign families."""
    kind = kind_of(description)
    recipe = RECIPES.get((family, kind)) or DEFAULTS[kind]
    unguided = {name: v for name, v in recipe.options.items() if not name.startswith("guid")}
    if description.classes or len(unguided) == len(recipe.options):
        return recipe
    return replace(recipe, options=unguided)  # guidance needs a condition


def with_optimizer(recipe: OptimizerOptions, name: str, batches: float) -> OptimizerOptions:
    """A recipe's settings for another optimiser; `batches` are those of one pass over the data.

    Amos measures its rate against the scale of the weights and brings its own weight decay, so
    it keeps neither of the recipe's: its rate is one over the root of the number of batches.
    """
    if name == recipe.name or name != "amos":
        return replace(recipe, name=name)
    rate = min(LARGEST_AMOS_RATE, 1 / sqrt(max(batches, 1.0)))
    return replace(recipe, name=name, rate=rate, weight_decay=0.0)


def _adamw(rate: float, decay: float = 0.01) -> OptimizerOptions:
    return OptimizerOptions(name="adamw", rate=rate, betas=(0.9, 0.99), weight_decay=decay)


def _adversarial(rate: float) -> OptimizerOptions:
    return OptimizerOptions(name="adam", rate=rate, betas=(0.0, 0.99), weight_decay=0.0)


def _plan(batch: int, optimizer: OptimizerOptions) -> Plan:
    return Plan(batch=batch, optimizers={"default": optimizer})


DEFAULTS = {
    Kind.VECTOR: Recipe(plan=_plan(256, _adamw(1e-3))),
    Kind.SMALL_IMAGE: Recipe(plan=_plan(128, _adamw(1e-3))),
    Kind.IMAGE: Recipe(plan=_plan(64, _adamw(1e-3))),
    Kind.TEXT: Recipe(plan=_plan(32, _adamw(1e-3))),
}

_FEW_STEPS = {"solver": "dpm-multistep", "grid": "logarithmic", "evaluations": 12}
"""A thousand ancestral steps take minutes; a second-order solver needs a dozen."""

_NETWORKS: Mapping[Kind, Mapping[str, Any]] = {
    Kind.VECTOR: {"width": 128, "blocks": 3},
    Kind.SMALL_IMAGE: {"width": 32, "levels": 1, "blocks": 2},
    Kind.IMAGE: {"width": 64, "levels": 2, "blocks": 1, "patch": 2},
}
_BATCHES = {Kind.VECTOR: 256, Kind.SMALL_IMAGE: 64, Kind.IMAGE: 64}


def _diffusion(
    family: str,
    *,
    model: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    rate: float = 2e-3,
) -> dict[tuple[str, Kind], Recipe]:
    """Recipes of a family with the usual networks for noisy data."""
    return {
        (family, kind): Recipe(
            model={**_NETWORKS[kind], **(model or {})},
            plan=_plan(_BATCHES[kind], _adamw(rate)),
            options=options or {},
        )
        for kind in _NETWORKS
    }


RECIPES = {
    ("vae", Kind.VECTOR): Recipe(plan=_plan(256, _adamw(2e-3))),
    ("vae", Kind.SMALL_IMAGE): Recipe(plan=_plan(128, _adamw(2e-3))),
    ("vae", Kind.IMAGE): Recipe(plan=_plan(64, _adamw(4e-3))),
    ("gan", Kind.VECTOR): Recipe(plan=_plan(256, _adversarial(1e-3))),
    ("gan", Kind.SMALL_IMAGE): Recipe(plan=_plan(64, _adversarial(2e-3))),
    ("gan", Kind.IMAGE): Recipe(plan=_plan(64, _adversarial(4e-3))),
    ("wgan", Kind.VECTOR): Recipe(plan=_plan(256, _adversarial(1e-3))),
    ("wgan", Kind.SMALL_IMAGE): Recipe(plan=_plan(64, _adversarial(1e-3))),
    ("wgan", Kind.IMAGE): Recipe(plan=_plan(64, _adversarial(1e-3))),
    ("rectified-flow", Kind.VECTOR): Recipe(
        model={"width": 128, "blocks": 3, "features": 128},
        plan=_plan(256, _adamw(2e-3)),
    ),
    ("rectified-flow", Kind.SMALL_IMAGE): Recipe(
        model={"width": 32, "levels": 1, "blocks": 2, "features": 128},
        plan=_plan(64, _adamw(2e-3)),
    ),
    ("rectified-flow", Kind.IMAGE): Recipe(
        model={"width": 64, "levels": 2, "blocks": 1, "patch": 2, "features": 256},
        plan=_plan(64, _adamw(2e-3)),
        options={"guidance": 3.0, "guided_until": 0.8},
    ),
    ("flow", Kind.VECTOR): Recipe(model={"couplings": 8}, plan=_plan(256, _adamw(2e-3))),
    ("flow", Kind.SMALL_IMAGE): Recipe(plan=_plan(128, _adamw(1e-3))),
    ("flow", Kind.IMAGE): Recipe(
        model={"couplings": 2, "levels": 2, "width": 256}, plan=_plan(64, _adamw(1e-3))
    ),
    ("ffjord", Kind.VECTOR): Recipe(model={"width": 64, "depth": 2}, plan=_plan(256, _adamw(5e-3))),
    ("ffjord", Kind.SMALL_IMAGE): Recipe(
        model={"width": 128, "depth": 2}, plan=_plan(128, _adamw(2e-3))
    ),
    ("ffjord", Kind.IMAGE): Recipe(model={"width": 64, "depth": 2}, plan=_plan(64, _adamw(1e-3))),
    ("ddpm", Kind.VECTOR): Recipe(
        model={"width": 128, "blocks": 3, "features": 128},
        plan=_plan(256, _adamw(2e-3)),
        options=_FEW_STEPS,
    ),
    ("ddpm", Kind.SMALL_IMAGE): Recipe(
        model={"width": 64, "levels": 1, "blocks": 1, "patch": 2, "features": 128},
        plan=_plan(64, _adamw(2e-3)),
        options={**_FEW_STEPS, "guidance": 2.0},
    ),
    ("ddpm", Kind.IMAGE): Recipe(
        # On images the noise alone says too little at high levels for a budget of minutes.
        model={
            "width": 32,
            "levels": 2,
            "blocks": 1,
            "patch": 2,
            "features": 256,
            "parts": "prediction=v",
        },
        plan=_plan(64, _adamw(2e-3)),
        options={**_FEW_STEPS, "guidance": 2.0},
    ),
    **_diffusion(
        "improved-ddpm",
        model={"parts": "prediction=v"},  # as for ddpm; the cosine table ends in nearly pure noise
        options={"evaluations": 50, "guidance": 2.0},
    ),
    **_diffusion("score-sde", options={"evaluations": 100, "grid": "logarithmic"}),
    **_diffusion("edm"),
    **_diffusion("meanflow"),
    **_diffusion("consistency"),
    **_diffusion("reflow", model={"pairs": 4096}),
    **_diffusion("distilled", model={"pairs": 4096}),
    ("latent-flow", Kind.VECTOR): Recipe(plan=_plan(256, _adamw(2e-3))),
    ("latent-flow", Kind.SMALL_IMAGE): Recipe(plan=_plan(128, _adamw(2e-3))),
    ("latent-flow", Kind.IMAGE): Recipe(plan=_plan(64, _adamw(2e-3))),
    ("autoregressive", Kind.SMALL_IMAGE): Recipe(
        model={"dim": 128, "depth": 4, "heads": 4}, plan=_plan(64, _adamw(2e-3))
    ),
    ("autoregressive", Kind.IMAGE): Recipe(
        model={"dim": 128, "depth": 4, "heads": 4}, plan=_plan(16, _adamw(1e-3))
    ),
    ("lm", Kind.TEXT): Recipe(
        model={"dim": 128, "depth": 4, "heads": 4}, plan=_plan(32, _adamw(2e-3))
    ),
    ("mlm", Kind.TEXT): Recipe(
        model={"dim": 128, "depth": 4, "heads": 4}, plan=_plan(32, _adamw(1e-3))
    ),
    ("vq", Kind.VECTOR): Recipe(plan=_plan(256, _adamw(2e-3))),
    ("vq", Kind.SMALL_IMAGE): Recipe(
        model={"replaced": 0.3, "share": 0.35}, plan=_plan(128, _adamw(3e-3))
    ),
    ("vq", Kind.IMAGE): Recipe(
        model={"codes": 128, "width": 32, "prior_width": 96},
        plan=_plan(64, _adamw(2e-3)),
    ),
}
