"""Laws of parts of a batch for what a family can be told to train by: couplings and divergences.

A row that couples the examples of a batch says so; all others add up over its parts.
"""

from functools import partial

from danlu.generative.diffusion import COUPLINGS, rectified_flow
from danlu.generative.gan import gan
from danlu.laws.generative.family import parts
from danlu.laws.generative.parts_of_a_batch import ROUNDING
from danlu.laws.generative.subjects import Build
from danlu.laws.law import Law
from danlu.losses import DIVERGENCES

EXAMPLES = 9
"""So many that a pairing of all is hardly ever one of the parts."""


def _law(name: str, build: Build) -> Law:
    return Law(
        f"{name}/parts",
        "losses and gradients of parts of a batch add up, unless the loss couples examples",
        ROUNDING,
        partial(parts, build, EXAMPLES),
        oracle="self-consistency",
    )


LAWS = [
    *(
        _law(f"coupling/{name}", partial(rectified_flow.build, parts=f"coupling={name}"))
        for name in COUPLINGS
    ),
    *(_law(f"divergence/{name}", partial(gan.build, divergence=name)) for name in DIVERGENCES),
]
