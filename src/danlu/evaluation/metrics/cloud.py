"""Points in a feature space, with the statistics that metrics share computed once."""

from collections.abc import Callable
from typing import Any, TypeVar

from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DanluError

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
