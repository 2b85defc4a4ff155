r"""Density and coverage: precision and recall that outliers do not distort.

Balls stand around held-out points alone and reach to their $k$-th nearest other, $k = 5$.
Density is the mean number of balls that hold a sample, divided by $k$; it may exceed 1 where
samples crowd. Coverage is the share of balls that hold at least one sample: a model that
repeats a few perfect examples has a low one. Both sides have equally many points, at most 2,000,
so that real data has a coverage of about $1 - 2^{-k}$ = 97 %.

Source: arXiv:2002.09797 §3.
"""

import math

from typing_extensions import override

from danlu.evaluation.metrics.metric import Better, Comparison, Metric, Need
from danlu.evaluation.metrics.nearest import memberships
from danlu.evaluation.metrics.precision_recall import share
from danlu.evaluation.results import Measured

NEIGHBOURS = 5


class Density(Metric):
    """Mean number of 5-neighbour balls of held-out data around a sample, over 5."""

    title = "Density"
    measures = "How densely held-out data surrounds the samples; about 1 for real data."
    better = Better.HIGHER
    noise = "The standard error is given; above 1 means that samples crowd at typical places."
    needs = Need.FEATURES
    least = NEIGHBOURS + 1

    @override
    def measure(self, comparison: Comparison) -> Measured:
        samples, held_out = comparison.matched()
        per_point, _ = samples.once(memberships, held_out, NEIGHBOURS)
        density = per_point.double() / NEIGHBOURS
        return Measured(density.mean().item(), density.std().item() / math.sqrt(len(density)))


class Coverage(Metric):
    """Share of held-out points with a sample inside their 5-neighbour ball."""

    title = "Coverage"
    measures = "Share of held-out data that has a sample nearby; about 97 % for real data."
    better = Better.HIGHER
    unit = "%"
    noise = "The standard error is given; the floor row shows what real data reaches."
    needs = Need.FEATURES
    least = NEIGHBOURS + 1

    @override
    def measure(self, comparison: Comparison) -> Measured:
        samples, held_out = comparison.matched()
        _, per_ball = samples.once(memberships, held_out, NEIGHBOURS)
        return share(int((per_ball > 0).sum()), len(per_ball))
