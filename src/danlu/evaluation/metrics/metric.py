"""The contract of a metric: facts for the report and one figure from a comparison."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from danlu.evaluation.features.space import FeatureSpace
from danlu.evaluation.metrics.cloud import Cloud, cut
from danlu.evaluation.reference import Reference
from danlu.evaluation.results import Measured


class Better(StrEnum):
    """Which way a figure improves."""

    HIGHER = "higher"
    LOWER = "lower"
    ONE = "nearest to 1"


class Need(StrEnum):
    """What a metric looks at; it decides where the metric is measured."""

    FEATURES = "features"  # once in every feature space; the key carries the space's name
    PIXELS = "pixels"  # once, on the values themselves
    CLASSES = "classes"  # once, in the first space that has a classifier
    DENSITY = "density"  # once, on data whose density is known


@dataclass(frozen=True, slots=True)
class Comparison:
    """Samples beside held-out data in one feature space.

    Attributes:
        x: samples on the scale of the data, clipped to its range.
        classes: the class each sample was asked to be, or None.
        reference: the held-out data and what is known of it.
        space: where both are compared.
        samples: the samples in that space.
    """

    x: Float[Tensor, "batch ..."]
    classes: Int[Tensor, " batch"] | None
    reference: Reference
    space: FeatureSpace
    samples: Cloud

    @property
    def held_out(self) -> Cloud:
        """The held-out data in the same space."""
        return self.reference.cloud(self.space)

    @property
    def size(self) -> int:
        """Examples of the smaller side."""
        return min(len(self.x), len(self.reference))

    def matched(self, most: int = 2000) -> tuple[Cloud, Cloud]:
        """Equally many samples and held-out points, at most `most`.

        Figures built on neighbours depend on how many points there are on either side.
        """
        n = min(len(self.samples), len(self.held_out), most)
        return self.samples.once(cut, n), self.held_out.once(cut, n)


class Metric(ABC):
    """One column of the report.

    Attributes:
        title: heading of its column.
        measures: what it measures, in one line.
        better: which way is better.
        unit: of the figure; "%" marks a share in [0, 1], to be shown in percent; empty for a
            plain number.
        noise: how large the noise is, in one line.
        needs: what it looks at.
        least: samples, and held-out examples, below which it says nothing.
    """

    title: ClassVar[str]
    measures: ClassVar[str]
    better: ClassVar[Better]
    unit: ClassVar[str] = ""
    noise: ClassVar[str]
    needs: ClassVar[Need]
    least: ClassVar[int] = 1

    def applies(self, comparison: Comparison) -> bool:
        """Whether the data has what the metric needs."""
        return True

    @abstractmethod
    def measure(self, comparison: Comparison) -> Measured:
        """The figure, with its standard error where one is known."""
