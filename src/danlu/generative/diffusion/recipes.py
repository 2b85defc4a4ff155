"""Recipes of families with the usual networks for noisy data."""

from collections.abc import Mapping
from typing import Any

from danlu.generative.recipe import Recipe, Recipes, Regime, plan_of

FEW_STEPS: Mapping[str, Any] = {
    "solver": "dpm-multistep",
    "grid": "logarithmic",
    "evaluations": 12,
}
"""A thousand ancestral steps take minutes; a second-order solver needs a dozen."""

NETWORKS: Mapping[Regime, Mapping[str, Any]] = {
    Regime.VECTOR: {"width": 128, "blocks": 3},
    Regime.SMALL_IMAGE: {"width": 32, "levels": 1, "blocks": 2},
    Regime.IMAGE: {"width": 64, "levels": 2, "blocks": 1, "patch": 2},
}
BATCHES = {Regime.VECTOR: 256, Regime.SMALL_IMAGE: 64, Regime.IMAGE: 64}
RATE = 2e-3


def usual(
    model: Mapping[str, Any] | None = None, options: Mapping[str, Any] | None = None
) -> Recipes:
    """The usual networks, with further settings for all of them."""
    return {
        regime: Recipe(
            model={**sizes, **(model or {})},
            plan=plan_of(BATCHES[regime], RATE),
            options=options or {},
        )
        for regime, sizes in NETWORKS.items()
    }
