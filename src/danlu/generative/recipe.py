"""Recipes: what a family is trained with on a kind of data, unless settings say otherwise.

A recipe is data: sizes of the model, the plan of training, and the options of sampling. It was
chosen on validation data; `--set` changes any of its fields. Each family keeps a table of its own
beside its builder, and its row of `FAMILIES` carries it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from danlu.contracts import DataDescription, DataKind, Method
from danlu.generative.base import GenerativeModel
from danlu.optim import OptimizerOptions
from danlu.optim.plan import Plan

SMALL_SIDE = 16


class Regime(StrEnum):
    """What recipes tell apart: the kinds of data, and small images from others."""

    VECTOR = "vector"
    SMALL_IMAGE = "small image"
    IMAGE = "image"
    TEXT = "text"
    STREAM = "stream"
    VIDEO = "video"


def regime_of(description: DataDescription) -> Regime:
    """The regime of the described data."""
    if description.is_image and max(description.shape[1:]) <= SMALL_SIDE:
        return Regime.SMALL_IMAGE
    return Regime(description.kind)


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


Recipes = Mapping[Regime, Recipe]


@dataclass(frozen=True, slots=True)
class Family(Method):
    """A row of `FAMILIES`.

    Attributes:
        recipes: by regime; data of a regime that is not there gets one of `DEFAULTS`.
    """

    recipes: Recipes = field(default_factory=dict)

    @property
    def kinds(self) -> frozenset[DataKind]:
        """The kinds of data that it learns."""
        return getattr(self.target, "kinds", GenerativeModel.kinds)


def plan_of(batch: int, rate: float) -> Plan:
    """Batches of a size, and AdamW at a rate."""
    options = OptimizerOptions(name="adamw", rate=rate, betas=(0.9, 0.99), weight_decay=0.01)
    return Plan(batch=batch, optimizers={"default": options})


DEFAULTS: Recipes = {
    Regime.VECTOR: Recipe(plan=plan_of(256, 1e-3)),
    Regime.SMALL_IMAGE: Recipe(plan=plan_of(128, 1e-3)),
    Regime.IMAGE: Recipe(plan=plan_of(64, 1e-3)),
    Regime.TEXT: Recipe(plan=plan_of(32, 1e-3)),
    Regime.STREAM: Recipe(plan=plan_of(32, 1e-3)),
    Regime.VIDEO: Recipe(plan=plan_of(8, 1e-3)),
}
"""Of families without one of their own."""
