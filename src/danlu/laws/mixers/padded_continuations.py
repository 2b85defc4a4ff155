"""Laws of padding behind a state: a sequence that goes on, in rows of unequal length."""

from collections.abc import Iterable
from functools import partial

import torch

from danlu.contracts import SequenceContext
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Case, Law, law_of_cases
from danlu.laws.mixers.definitions import drawn, numbers
from danlu.laws.mixers.sequences import Build, context_for, one_row
from danlu.mixers import MIXERS
from danlu.mixers.base import Mixer

RIGHT = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
LEFT = torch.tensor([[False] * 2 + [True] * 3, [False] * 4 + [True]])
NOTHING = torch.tensor([[False] * 5, [True] * 3 + [False] * 2])


def continued(build: Build) -> Iterable[Case]:
    """Four tokens, five with padding, and one more, against each row without its padding."""
    layer = drawn(build)
    for where, valid in {"right": RIGHT, "left": LEFT, "a whole row": NOTHING}.items():
        yield where, partial(_apart, layer, valid)


def _apart(layer: Mixer, valid: torch.Tensor) -> float:
    first, second, third = (numbers(2, n, layer.dim, stream=s) for s, n in ((2, 4), (3, 5), (4, 1)))
    filled = torch.where(valid[..., None], second, 1e3)
    _, state = layer(first, context_for(layer))
    y, state = layer(filled, SequenceContext(valid=valid), state)
    end, _ = layer(third, None, state)
    worst = 0.0
    for row in range(2):
        alone = torch.cat([first[row], second[row, valid[row]], third[row]])[None]
        expected = layer(alone, one_row(context_for(layer), row))[0][0]
        here = torch.cat([y[row, valid[row]], end[row]])
        worst = largest(worst, gap(here, expected[4:]))
    return worst


LAWS: list[Law] = [
    law_of_cases(
        f"mixers/{name}/continued-padding",
        "padding behind a state changes neither outputs nor what follows",
        1e-9,
        partial(continued, method.build),
        "contract",
    )
    for name, method in MIXERS.items()
    if (layer := method.build()).causal and layer.strict and layer.length is None
]
