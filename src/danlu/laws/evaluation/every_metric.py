"""What every metric of the table promises: no order of examples counts, and better is better.

Samples of the data's own distribution are compared with held-out data, and so are others that are
too narrow and in the wrong place.
"""

import math
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from danlu.contracts import Classes, DataDescription, DataKind
from danlu.data import Examples
from danlu.evaluation.features.space import FeatureSpace
from danlu.evaluation.metrics import METRICS
from danlu.evaluation.metrics.cloud import Cloud
from danlu.evaluation.metrics.metric import Better, Comparison, Metric
from danlu.evaluation.reference import Reference
from danlu.laws.draws import generator
from danlu.laws.gaps import gap
from danlu.laws.law import Law

N = 60
MODES = torch.tensor([[-3.0, 0.0], [3.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
SCALE = 0.5
PLANE = DataDescription(shape=(2,), levels=None, low=-9.0, high=9.0, condition=Classes(2))
IMAGES = DataDescription(kind=DataKind.IMAGE, shape=(1, 4, 4), levels=None, low=-9.0, high=9.0)


def _draw(description: DataDescription, stream: int) -> Tensor:
    x = torch.randn(N, *description.shape, generator=generator(stream), dtype=torch.float64)
    return x if description.is_image else MODES[torch.arange(N) % 3] + SCALE * x


def _comparison(metric: Metric, *, good: bool = True) -> Comparison:
    """Samples beside held-out data, of the plane where the metric applies there."""
    for description in (PLANE, IMAGES):
        held_out, training = (Examples(_draw(description, i), None, description) for i in (1, 2))
        known = {} if description.is_image else {"modes": MODES, "mode_scale": SCALE}
        reference = Reference(held_out, description, training=training, **known)
        classify = None if description.is_image else lambda x: x
        space = FeatureSpace(
            "as they are", "0", lambda x: x.flatten(1), title="", classify=classify
        )
        x = _draw(description, 3)
        asked = None if description.is_image else x.argmax(1)
        x = x if good else 0.2 * x.flip(-1) + 6.0
        comparison = Comparison(x, asked, reference, space, Cloud(x.flatten(1)))
        if metric.applies(comparison):
            return comparison
    raise AssertionError(f"{metric.title} applies neither to points nor to images")


def _order_gap(name: str) -> float:
    """The figure of examples in another order, samples and held-out ones alike."""
    metric = METRICS[name].build()
    first = _comparison(metric)
    order = torch.randperm(N, generator=generator(4))
    reference = first.reference
    held_out = Examples(reference.x[order.flip(0)], None, reference.description)
    other = Reference(
        held_out,
        reference.description,
        training=reference.training,
        modes=reference.modes,
        mode_scale=reference.mode_scale,
    )
    asked = None if first.classes is None else first.classes[order]
    second = replace(
        first,
        x=first.x[order],
        classes=asked,
        reference=other,
        samples=Cloud(first.samples.points[order]),
    )
    found = [metric.measure(comparison) for comparison in (first, second)]
    return gap(*([each.value, each.stderr or 0.0] for each in found))


def _preference_gap(name: str) -> float:
    metric = METRICS[name].build()
    good, bad = (
        _distance(metric, metric.measure(_comparison(metric, good=good)).value)
        for good in (True, False)
    )
    return gap(float(good < bad), 1.0)


def _distance(metric: Metric, value: float) -> float:
    """How far a figure is from the best, whichever way that is."""
    if metric.better is Better.HIGHER:
        return -value
    return value if metric.better is Better.LOWER else abs(math.log(value))


LAWS = [
    law
    for name in METRICS
    for law in (
        Law(
            f"evaluation/{name}/order",
            "the figure and its error do not depend on the order of samples or held-out examples",
            1e-9,
            partial(_order_gap, name),
            oracle="contract",
        ),
        Law(
            f"evaluation/{name}/better",
            "samples of the data's distribution are worth more than ones too narrow and misplaced",
            0.0,
            partial(_preference_gap, name),
            oracle="contract",
        ),
    )
]
