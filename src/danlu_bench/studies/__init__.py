"""Studies by name: what an article claims, measured here in minutes, and whether it holds.

Each is one file whose docstring says what is claimed and by whom. `run` takes a function for lines
of progress, writes a page with its tables and pictures, and gives the figures as plain data.
"""

from collections.abc import Callable, Mapping
from typing import Any

from danlu_bench.studies import (
    extrapolation,
    gradient_reach,
    hierarchical_positions,
    hippo_memory,
    induction_heads,
    language_models,
    lengths,
    list_operations,
    normalisation,
    quantised_keys,
    random_features,
    ranks,
    recall,
    rotary_basis,
    rotary_decay,
    selective_copying,
    sequential_fashion,
    windows,
)

STUDIES: Mapping[str, Callable[..., dict[str, Any]]] = {
    "attention-ranks": ranks.run,
    "attention-windows": windows.run,
    "extrapolation": extrapolation.run,
    "gradient-reach": gradient_reach.run,
    "hierarchical-positions": hierarchical_positions.run,
    "hippo-memory": hippo_memory.run,
    "induction-heads": induction_heads.run,
    "language-models": language_models.run,
    "list-operations": list_operations.run,
    "mixer-lengths": lengths.run,
    "normalisation": normalisation.run,
    "quantised-keys": quantised_keys.run,
    "random-features": random_features.run,
    "recall": recall.run,
    "rotary-basis": rotary_basis.run,
    "rotary-decay": rotary_decay.run,
    "selective-copying": selective_copying.run,
    "sequential-fashion": sequential_fashion.run,
}
