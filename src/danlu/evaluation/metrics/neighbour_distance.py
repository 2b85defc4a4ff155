r"""Distance to the nearest training example: has the model copied?

$$r = \frac{\operatorname{median}_i \min_j \lVert s_i - t_j \rVert}
           {\operatorname{median}_i \min_j \lVert h_i - t_j \rVert}$$

for samples $s$, held-out data $h$ and training data $t$. Fresh data has 1; a model that repeats
its training data has 0; blurred or averaged samples may lie below 1 without being copies, and
bad ones far above. The standard error of a median is half the distance of its order statistics
at $\tfrac12 \pm \tfrac{1}{2\sqrt n}$, free of any assumption on the distribution.

Source: arXiv:2004.05675 (data-copying).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from danlu.evaluation.metrics.cloud import subset
from danlu.evaluation.metrics.metric import Better, Comparison, Metric, Need
from danlu.evaluation.metrics.nearest import nearest
from danlu.evaluation.reference import Reference
from danlu.evaluation.results import Measured

POINTS = 1000  # of samples and of held-out data
TRAINING_CHUNK = 5000


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest training example of each sample.

    Attributes:
        distance: in pixel values, Euclidean.
        index: position in the training split.
        x: the training examples themselves.
    """

    distance: Float[Tensor, " batch"]
    index: Int[Tensor, " batch"]
    x: Float[Tensor, "batch ..."]


class NeighbourDistance(Metric):
    """Median distance of samples to training data over that of held-out data."""

    title = "Distance to training data"
    measures = "Distance to the nearest training example relative to held-out data's; 0 is a copy."
    better = Better.ONE
    noise = "The standard error is given; averaged-looking samples lie below 1 without copying."
    needs = Need.PIXELS
    least = 2

    @override
    def applies(self, comparison: Comparison) -> bool:
        return comparison.reference.training is not None

    @override
    def measure(self, comparison: Comparison) -> Measured:
        reference = comparison.reference
        top, top_error = median(nearest_training(_some(comparison.x), reference).distance)
        bottom, bottom_error = reference.once(_held_out_median)
        if bottom == 0:
            return Measured(1.0 if top == 0 else math.inf)
        value = top / bottom
        return Measured(value, math.hypot(top_error, value * bottom_error) / bottom)


def nearest_training(x: Float[Tensor, "batch ..."], reference: Reference) -> Neighbours:
    """The nearest training example of each of these, by pixel values."""
    training = reference.training
    assert training is not None
    flat = x.flatten(1)
    distance = torch.full((len(x),), torch.inf)
    index = torch.zeros(len(x), dtype=torch.int64)
    for first in range(0, len(training), TRAINING_CHUNK):
        rows = torch.arange(first, min(first + TRAINING_CHUNK, len(training)))
        part_distance, part_index = nearest(flat, training.x(rows).flatten(1))
        closer = part_distance < distance
        distance = torch.where(closer, part_distance, distance)
        index = torch.where(closer, part_index + first, index)
    return Neighbours(distance, index, training.x(index))


def median(values: Float[Tensor, " batch"]) -> tuple[float, float]:
    """The median and its standard error from order statistics."""
    n = len(values)
    half = 0.5 / math.sqrt(n)
    levels = torch.tensor([0.5, max(0.0, 0.5 - half), min(1.0, 0.5 + half)], dtype=torch.float64)
    middle, low, high = values.double().quantile(levels).tolist()
    return middle, (high - low) / 2


def _held_out_median(reference: Reference) -> tuple[float, float]:
    return median(nearest_training(_some(reference.x), reference).distance)


def _some(x: Tensor) -> Tensor:
    return x[subset(len(x), POINTS)]
