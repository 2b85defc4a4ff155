"""Studies by name: what an article claims, measured here in minutes, and whether it holds.

Each is one file whose docstring says what is claimed and by whom. `run` takes a function for lines
of progress, writes a page with its tables and pictures, and gives the figures as plain data.
"""

from collections.abc import Callable, Mapping
from typing import Any

from danlu.experiments.studies import (
    extrapolation,
    gradient_reach,
    hierarchical_positions,
    hippo_memory,
    language_models,
    normalisation,
    random_features,
    ranks,
    recall,
    rotary_basis,
    rotary_decay,
    sequential_digits,
)

STUDIES: Mapping[str, Callable[..., dict[str, Any]]] = {
    "attention-ranks": ranks.run,
    "extrapolation": extrapolation.run,
    "gradient-reach": gradient_reach.run,
    "hierarchical-positions": hierarchical_positions.run,
    "hippo-memory": hippo_memory.run,
    "language-models": language_models.run,
    "normalisation": normalisation.run,
    "random-features": random_features.run,
    "recall": recall.run,
    "rotary-basis": rotary_basis.run,
    "rotary-decay": rotary_decay.run,
    "sequential-digits": sequential_digits.run,
}
