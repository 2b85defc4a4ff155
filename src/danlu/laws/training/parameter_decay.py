"""Weight decay pulls at matrices of products, in every row, and at nothing else."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from torch import nn

from danlu.generative import FAMILIES
from danlu.laws.law import Case, Law, law_of_cases
from danlu.mixers import MIXERS
from danlu.optim.parameters import named_parameters
from danlu.positions import POSITIONS

PRODUCTS: Mapping[str, tuple[str, ...]] = {
    "Linear": ("weight",),
    "Conv1d": ("weight",),
    "Conv2d": ("weight",),
    "ConvTranspose2d": ("weight",),
    "GRU": ("weight_hh_l0", "weight_ih_l0"),
    "LSTM": ("weight_hh_l0", "weight_ih_l0"),
    "RNN": ("weight_hh_l0", "weight_ih_l0"),
    "ShortConvolution": ("weight",),
    "Exponential": ("directions",),
    "Linformer": ("mix_keys", "mix_values"),
    "RWKV6": ("decay_down", "decay_up", "share_down", "share_up"),
    "S4": ("out",),
    "S4D": ("out",),
    "TransformerXL": ("project",),
}
"""Class -> parameters that multiply a vector of features, of time or of states and are summed."""


def decayed(table: Mapping[str, Callable[[], nn.Module]]) -> Iterator[Case]:
    """Parameters that decay and are no such matrix, in each row."""
    for name, build in table.items():
        model = build()
        wrong = [
            row.path
            for row in named_parameters(model, [model])
            if row.rule.decay and row.name not in _products(row.module_type)
        ]
        yield f"{name}: {', '.join(wrong)}", lambda wrong=wrong: float(len(wrong))


def _products(kind: type) -> set[str]:
    """The products of a class; those of its bases are its own."""
    return {name for base in kind.__mro__ for name in PRODUCTS.get(base.__name__, ())}


_TABLES = {"mixers": MIXERS, "positions": POSITIONS, "family": FAMILIES}

LAWS: list[Law] = [
    law_of_cases(
        f"{room}/weight-decay",
        "weights that decay are matrices of products",
        0.0,
        partial(decayed, {name: method.build for name, method in table.items()}),
        "definition",
    )
    for room, table in _TABLES.items()
]
