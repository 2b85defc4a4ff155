"""Laws of linear attention and retention: each layer against its matrix of weights."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from danlu.contracts import SequenceContext
from danlu.laws.draws import standard_normal
from danlu.laws.gaps import excess, gap, largest
from danlu.laws.law import Case, Rows, law_of_cases, stated, table
from danlu.laws.mixers.mixers import mixer_laws
from danlu.laws.mixers.sequences import made, tokens
from danlu.mixers.efficient import EfficientAttention
from danlu.mixers.feature_maps import Elu, Exponential, FirstOrder
from danlu.mixers.linear import LinearAttention
from danlu.positions.rotary import Rotary

LENGTH = 11
Reading = Callable[[], LinearAttention | EfficientAttention]


def sums_to_one() -> Iterable[Case]:
    """Normalised weights sum to 1 and are not negative."""
    for name, build in {
        "elu": partial(LinearAttention, 8, heads=2),
        "first order, turned": partial(
            LinearAttention, 8, heads=2, features=FirstOrder(), position=Rotary(4)
        ),
        "efficient": partial(EfficientAttention, 8, heads=2),
    }.items():

        def error(build: Reading = build) -> float:
            layer = made(build)
            x = tokens(layer, LENGTH)
            with torch.no_grad():
                x[..., 0] = 1.0
                layer.value.weight.zero_()[:, 0] = 1.0
                layer.output.weight.copy_(torch.eye(8))
            worst = gap(layer(x)[0], torch.ones_like(x))
            for j in range(LENGTH):  # with a value of one token alone its weights are read
                x[..., 0] = 0.0
                x[:, j, 0] = 1.0
                worst = largest(worst, excess(-layer(x)[0], 0.0))
            return worst

        yield name, error


def row_scale() -> float:
    """A factor on the features of a query changes nothing."""

    class Scaled(Elu):
        def queries(self, q: Tensor) -> Tensor:
            return super().queries(q) * (1 + q.square().sum(-1, keepdim=True))

        def keys(self, k: Tensor) -> Tensor:
            return super().queries(k)

    layers = [made(partial(LinearAttention, 8, heads=2, features=f())) for f in (Elu, Scaled)]
    x = tokens(layers[0], LENGTH)
    return gap(layers[1](x)[0], layers[0](x)[0])


def turned() -> LinearAttention:
    """Linear attention with a rotation."""
    return LinearAttention(8, heads=2, position=Rotary(4))


def moved() -> float:
    """A rotation sees differences of positions."""
    layer = made(turned)
    x, places = tokens(layer, LENGTH), torch.arange(LENGTH).expand(2, LENGTH)
    ends = [layer(x, SequenceContext(positions=places + by))[0] for by in (0, 19)]
    return gap(*ends)


def exponents_apart() -> float:
    """Features of keys times the exponential that is kept apart, against the map as a whole."""
    features, (q, k) = Exponential(4, features=5).double(), standard_normal(2, 1, 2, 6, 4)
    found = features(q, k, lambda q, k: (q, k))
    assert found.exponent is not None
    assert features.directions is not None
    whole = found.k * found.exponent.exp()[..., None]
    return gap((features.keys(k), whole), ((k @ features.directions.T).exp(),) * 2)


ROWS: Rows = {
    "closed form": [
        ("sums-to-one", 1e-12, sums_to_one),
    ],
}

LAWS = [
    *table(ROWS, law_of_cases, prefix="linear-attention/"),
    stated("linear-attention/row-scale", 1e-12, row_scale, "self-consistency"),
    stated("linear-attention/moved", 1e-12, moved, "self-consistency"),
    stated("linear-attention/exponents", 1e-12, exponents_apart, "definition"),
    *mixer_laws(
        "linear-attention/turned", turned, only=("steps", "packed", "padding", "future", "split")
    ),
]
