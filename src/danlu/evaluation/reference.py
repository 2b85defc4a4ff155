"""Held-out data that samples are compared with, and what is known of it."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DataDescription
from danlu.data import Examples, Source
from danlu.evaluation.features.space import FeatureSpace
from danlu.evaluation.metrics.cloud import Cloud, Statistic

RELIABLE = 1000


class Reference:
    """A held-out split; its features are computed once per space.

    Attributes:
        x: held-out values, `[examples, *shape]`.
        condition: what they are told, or None.
        description: of the data.
        split: name of the split, for the report.
        training: the split that models were trained on, for the nearest neighbours; or None.
        modes: centres of a 2-D mixture, or None.
        mode_scale: standard deviation of each of its modes, or None.
    """

    def __init__(
        self,
        held_out: Examples,
        description: DataDescription,
        *,
        split: str = "test",
        training: Examples | None = None,
        modes: Float[Tensor, "modes features"] | None = None,
        mode_scale: float | None = None,
    ) -> None:
        self.x = held_out.x()
        self.condition = held_out.condition
        self.description = description
        self.split = split
        self.training = training
        self.modes = modes
        self.mode_scale = mode_scale
        self._known: dict[Any, Any] = {}

    @classmethod
    def of(cls, source: Source, split: str = "test") -> "Reference":
        """A split of a data set: "test", or "validation" while choosing."""
        return cls(
            getattr(source, split),
            source.description,
            split=split,
            training=source.training,
            modes=source.modes,
            mode_scale=source.mode_scale,
        )

    def __len__(self) -> int:
        """Number of held-out examples."""
        return len(self.x)

    @property
    def reliable(self) -> bool:
        """Whether there are enough held-out examples for distances to be trusted."""
        return len(self) >= RELIABLE

    @property
    def notices(self) -> list[str]:
        """What a reader of the figures must know."""
        if self.reliable:
            return []
        return [
            f"Only {len(self):,} held-out examples: distances are unreliable below {RELIABLE:,}; "
            "read them beside the floor row."
        ]

    def cloud(self, space: FeatureSpace) -> Cloud:
        """The held-out data in a feature space."""
        if space.hash not in self._known:
            self._known[space.hash] = Cloud(space.features(self.x))
        return self._known[space.hash]

    def once(self, statistic: Callable[["Reference"], Statistic]) -> Statistic:
        """`statistic(self)`, computed at the first call."""
        if statistic not in self._known:
            self._known[statistic] = statistic(self)
        return self._known[statistic]
