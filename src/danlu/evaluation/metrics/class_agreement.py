r"""Class agreement: does a classifier see in a sample the class that was asked for?

The share of conditional samples whose most probable class, by a classifier trained on real
training data, is the class they were made for. Real data reaches the classifier's own accuracy,
and class means alone reach 100 %: read it beside coverage.

Source: arXiv:1807.09499 (GAN-test).
"""

from typing_extensions import override

from danlu.evaluation.metrics.metric import Better, Comparison, Metric, Need
from danlu.evaluation.metrics.precision_recall import share
from danlu.evaluation.results import Measured


class ClassAgreement(Metric):
    """Share of conditional samples that are classified as asked."""

    title = "Class agreement"
    measures = "Share of samples that a classifier takes for the class they were asked to be."
    better = Better.HIGHER
    unit = "%"
    noise = "The standard error is given; the floor row shows the classifier's own accuracy."
    needs = Need.CLASSES

    @override
    def applies(self, comparison: Comparison) -> bool:
        return comparison.classes is not None

    @override
    def measure(self, comparison: Comparison) -> Measured:
        logits = comparison.space.logits(comparison.samples.points)
        assert logits is not None
        hits = logits.argmax(1) == comparison.classes
        return share(int(hits.sum()), len(hits))
