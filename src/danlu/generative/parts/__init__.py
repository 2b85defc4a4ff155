"""Parts of chains: bijections and splits, and what couplings are made of, each a table.

A row of `LAYERS` builds its layer for examples of a shape; every member obeys the laws of inverse,
log-determinant and integral. A coupling is a row of `MASKS`, one of `NETWORKS`, and one of
`danlu.generative.parts.transforms.TRANSFORMS`.
"""

import torch

from danlu.conditioning.classes import ClassEmbedding
from danlu.contracts import Classes, Method
from danlu.generative.parts.actnorm import ActNorm
from danlu.generative.parts.affine import Linear, Normalise, ToldAffine
from danlu.generative.parts.continuous import Continuous, EstimatedContinuous, Velocity
from danlu.generative.parts.coupling_networks import FEATURES, Dense, convolutional
from danlu.generative.parts.couplings import Coupling
from danlu.generative.parts.logit import Logit
from danlu.generative.parts.masks import channel_half, checkerboard
from danlu.generative.parts.split import Split
from danlu.generative.parts.squeeze import Squeeze
from danlu.generative.parts.transforms import TRANSFORMS

Shape = tuple[int, ...]

PAIR: Shape = (2,)
"""The tiniest example that a layer can do something with."""
CLASSES, WIDTH, STEPS = 2, 8, 4
"""Of the tiny instances."""

MASKS = {
    "checkerboard": Method(checkerboard, ("arXiv:1605.08803",), lambda: checkerboard(PAIR, 0)),
    "channel-half": Method(channel_half, ("arXiv:1605.08803",), lambda: channel_half(PAIR, 0)),
}

NETWORKS = {
    "dense": Method(
        Dense, ("arXiv:1410.8516",), lambda: Dense(PAIR, 2 * PAIR[0], width=WIDTH, depth=1)
    ),
    "convolutional": Method(
        convolutional,
        ("arXiv:1605.08803",),
        lambda: convolutional((1, 4, 4), 2, width=WIDTH, depth=1),
    ),
}


def coupling(shape: Shape = PAIR, *, transform: str = "affine") -> Coupling:
    """A tiny coupling."""
    move = TRANSFORMS[transform].build()
    network = Dense(shape, move.parameters_per_number * shape[0], width=WIDTH, depth=1)
    embedding = ClassEmbedding(CLASSES, FEATURES)
    return Coupling(checkerboard(shape, 0), network, embedding, move)


def split(shape: Shape = PAIR) -> Split:
    """A tiny split."""
    first = shape[0] // 2
    network = Dense((first, *shape[1:]), 2 * (shape[0] - first), width=WIDTH, depth=1)
    return Split(first, network, ClassEmbedding(CLASSES, FEATURES))


def velocity(shape: Shape) -> Velocity:
    """A tiny velocity."""
    return Velocity(Dense(shape, shape[0], width=WIDTH, depth=1), Classes(CLASSES))


LAYERS = {
    "actnorm": Method(ActNorm, ("arXiv:1807.03039",), lambda shape=PAIR: ActNorm(shape)),
    "told-affine": Method(
        ToldAffine, ("arXiv:1605.08803",), lambda shape=PAIR: ToldAffine(shape[0], Classes(CLASSES))
    ),
    "continuous": Method(
        Continuous,
        ("arXiv:1806.07366", "arXiv:1810.01367"),
        lambda shape=PAIR: Continuous(velocity(shape), steps=STEPS),
    ),
    "coupling": Method(Coupling, ("arXiv:1605.08803",), coupling),
    "estimated-continuous": Method(
        EstimatedContinuous,
        ("arXiv:1810.01367",),
        lambda shape=PAIR: EstimatedContinuous(velocity(shape), steps=STEPS),
    ),
    "linear": Method(Linear, ("arXiv:1908.09257",), lambda shape=PAIR: Linear(shape[0])),
    "logit": Method(Logit, ("arXiv:1605.08803",), lambda shape=PAIR: Logit(-1.0, 3.0)),
    "normalise": Method(
        Normalise,
        ("arXiv:1605.08803",),
        lambda shape=PAIR: Normalise(torch.full(shape, 0.3), torch.full(shape, 0.7)),
    ),
    "split": Method(Split, ("arXiv:1605.08803", "arXiv:1807.03039"), split),
    "squeeze": Method(Squeeze, ("arXiv:1605.08803",), lambda shape=(1, 2, 2): Squeeze()),
}
