"""Points in a feature space, with the statistics that metrics share computed once."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from danlu.contracts import DanluError, derive_seed

Statistic = TypeVar("Statistic")


class Cloud:
    """Features of a set of examples; `once` remembers what was computed from them.

    Held-out data is compared with every row of a race, so its covariance, kernel sums and
    neighbour radii are worth keeping.
    """

    def __init__(self, points: Float[Tensor, "points features"]) -> None:
        if not points.isfinite().all():
            raise DanluError("Features hold NaN or infinity; look at the samples behind them.")
        self.points = points
        self._known: dict[tuple[Any, ...], Any] = {}

    def __len__(self) -> int:
        """Number of points."""
        return len(self.points)

    def once(self, statistic: Callable[..., Statistic], *arguments: Any) -> Statistic:
        """`statistic(self, *arguments)`, computed at the first call."""
        key = (statistic, *arguments)
        if key not in self._known:
            self._known[key] = statistic(self, *arguments)
        return self._known[key]


def cut(cloud: Cloud, most: int) -> Cloud:
    """The cloud, or a subset of it with at most that many points."""
    return cloud if len(cloud) <= most else Cloud(cloud.points[subset(len(cloud), most)])


def subset(total: int, most: int) -> Int[Tensor, " chosen"]:
    """At most `most` of `total` indices, in order; always the same ones.

    Splits may be ordered by class, so their first examples would be a bad choice.
    """
    generator = torch.Generator().manual_seed(derive_seed("subset", total))
    return torch.randperm(total, generator=generator)[:most].sort().values
