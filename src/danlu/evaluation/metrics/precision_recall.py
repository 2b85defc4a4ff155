r"""Precision and recall: do samples lie where data lies, and does data lie where samples lie?

A set of points covers the union of balls around them that reach to the $k$-th nearest other
point, $k = 3$. Precision is the share of samples inside the balls of held-out data, recall the
share of held-out data inside the balls of samples. A model of few perfect examples has high
precision and low recall, a model of noise with some hits the opposite. Both sides have equally
many points, at most 2,000.

Source: arXiv:1904.06991 eq. 1 and 2.
"""

import math

from typing_extensions import override

from danlu.evaluation.metrics.cloud import Cloud
from danlu.evaluation.metrics.metric import Better, Comparison, Metric, Need
from danlu.evaluation.metrics.nearest import memberships
from danlu.evaluation.results import Measured

NEIGHBOURS = 3


class Precision(Metric):
    """Share of samples inside the balls of held-out data."""

    title = "Precision"
    measures = "Share of samples that look like held-out data (inside its 3-neighbour balls)."
    better = Better.HIGHER
    unit = "%"
    noise = "The standard error is given; an outlier in the data makes its ball too generous."
    needs = Need.FEATURES
    least = NEIGHBOURS + 1

    @override
    def measure(self, comparison: Comparison) -> Measured:
        return share_inside(*comparison.matched())


class Recall(Metric):
    """Share of held-out data inside the balls of samples."""

    title = "Recall"
    measures = "Share of held-out data that the samples come near to (inside their balls)."
    better = Better.HIGHER
    unit = "%"
    noise = "The standard error is given; the floor row shows what real data reaches."
    needs = Need.FEATURES
    least = NEIGHBOURS + 1

    @override
    def measure(self, comparison: Comparison) -> Measured:
        samples, held_out = comparison.matched()
        return share_inside(held_out, samples)


def share_inside(points: Cloud, centres: Cloud) -> Measured:
    """Share of the points inside at least one ball of the centres, with its binomial error."""
    per_point, _ = memberships(points, centres, NEIGHBOURS)
    return share(int((per_point > 0).sum()), len(points))


def share(hits: int, trials: int) -> Measured:
    """A share with its binomial standard error."""
    value = hits / trials
    return Measured(value, math.sqrt(value * (1 - value) / trials))
