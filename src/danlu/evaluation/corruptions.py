"""Yardsticks: real data and damaged real data, scored like samples but never competing.

The floor row shows what a perfect model would get, the train-copy row what a memoriser would
get, noise and blur give a distance its scale. Shuffled values are the sanity line: each number of
an example is taken from another training example, which keeps how often every number has every
value and destroys all relations. A model that is no better than that has learned nothing.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from danlu.data import Examples, Source
from danlu.evaluation.metrics.cloud import subset
from danlu.evaluation.results import RowKind

NOISE = 0.1  # standard deviation on the scale where pixels lie in [0, 1]
BLUR = 3  # side of the box, in pixels
SEED = 0


@dataclass(frozen=True, slots=True)
class Yardstick:
    """Examples to be scored in place of samples."""

    name: str
    kind: RowKind
    x: Float[Tensor, "batch ..."]
    classes: Int[Tensor, " batch"] | None


def yardsticks(source: Source, n: int, *, split: str = "test") -> list[Yardstick]:
    """The yardsticks of a race whose models are scored on `n` samples against a split.

    The floor takes `n` examples of the other held-out split, the train copy `n` training
    examples (all, where there are fewer), and so do shuffled values; noise and blur damage the
    whole reference itself.
    """
    held_out = getattr(source, split)
    other = source.validation if split == "test" else source.test
    x, ids = some(source.training, n)
    rows = [
        Yardstick("held-out data", RowKind.FLOOR, *some(other, n)),
        Yardstick("training data", RowKind.TRAIN_COPY, x, ids),
        Yardstick("values shuffled", RowKind.SANITY, shuffled(x), ids),
    ]
    if source.description.is_image:
        classes = held_out.ids
        rows += [
            Yardstick("held-out, noisy", RowKind.CORRUPTION, noisy(held_out), classes),
            Yardstick("held-out, blurred", RowKind.CORRUPTION, blurred(held_out), classes),
        ]
    return rows


def some(
    examples: Examples, n: int
) -> tuple[Float[Tensor, "batch ..."], Int[Tensor, " batch"] | None]:
    """At most `n` examples with their classes; always the same ones."""
    chosen = subset(len(examples), n)
    return examples.x(chosen), examples.classes(chosen)


def shuffled(x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
    """Every number of an example taken from an example of its own."""
    flat = x.flatten(1)
    order = torch.rand(flat.shape, generator=torch.Generator().manual_seed(SEED)).argsort(0)
    return flat.gather(0, order).view_as(x)


def noisy(examples: Examples) -> Float[Tensor, "batch channels height width"]:
    """All examples with Gaussian noise of 0.1 on the scale [0, 1], then clipped."""
    description = examples.description
    low, high = description.low, description.high
    x = examples.x()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(SEED))
    return (x + NOISE * (high - low) * noise).clamp(low, high)


def blurred(examples: Examples) -> Float[Tensor, "batch channels height width"]:
    """All examples averaged over 3 by 3 pixels; borders are continued outwards."""
    side = BLUR // 2
    padded = F.pad(examples.x(), (side, side, side, side), mode="replicate")
    return F.avg_pool2d(padded, BLUR, stride=1)
