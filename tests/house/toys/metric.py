r"""Distance of means: $\lVert \bar x - \bar y \rVert$ in a feature space.

With $\bar x$ the mean of the samples' features and $\bar y$ that of held-out data, it is the first
of the two terms of the Fréchet distance, without its square, and sees nothing but the place.

Source: arXiv:1706.08500, the first term of the distance.
"""

from typing_extensions import override

from danlu.evaluation.metrics.metric import Better, Comparison, Metric, Need
from danlu.evaluation.results import Measured


class ToyMetric(Metric):
    """Distance of the mean features."""

    title = "Distance of means"
    measures = "How far the mean of the samples is from that of held-out data."
    better = Better.LOWER
    noise = "Falls with the root of the number of samples."
    needs = Need.FEATURES

    @override
    def measure(self, comparison: Comparison) -> Measured:
        means = (side.points.mean(0) for side in (comparison.samples, comparison.held_out))
        return Measured((next(means) - next(means)).norm().item())
