"""The recipe of a family for given data, and what changes in it with another optimiser."""

from dataclasses import replace
from math import sqrt

from danlu.contracts import DataDescription
from danlu.generative import FAMILIES
from danlu.generative.recipe import DEFAULTS, Family, Recipe, regime_of
from danlu.optim import OptimizerOptions

LARGEST_AMOS_RATE = 0.1
"""Small sets would ask for more, and short runs on digits and two-moons lost nothing by it."""


def recipe_for(family: str, description: DataDescription) -> Recipe:
    """The recipe of a family for the described data; the default one for foreign families."""
    row, regime = FAMILIES.get(family), regime_of(description)
    own = row.recipes.get(regime) if isinstance(row, Family) else None
    recipe = own or DEFAULTS[regime]
    unguided = {name: v for name, v in recipe.options.items() if not name.startswith("guid")}
    if description.condition or len(unguided) == len(recipe.options):
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
