"""What a model must know of its data: shape, levels, scale and what examples are told."""

from dataclasses import dataclass
from math import isfinite, prod

from danlu.contracts.condition_kinds import Classes, Kind
from danlu.contracts.errors import DanluError

MOST_DIMS = 2**30
"""Numbers in the largest example that anybody describes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataDescription:
    """Facts of a data set, recorded in a run and enough to build a model for it.

    Attributes:
        shape: `(features,)` or `(channels, height, width)` of one example.
        levels: number of discrete values, evenly spaced on [low, high]; None when continuous.
        low: smallest value a model sees.
        high: largest value a model sees.
        condition: the kind of what each example is told; None when nothing is.
        alphabet: of text, the character behind each id; empty where ids are bytes; None for all
            other data.
    """

    shape: tuple[int, ...]
    levels: int | None
    low: float
    high: float
    condition: Kind | None = None
    alphabet: str | None = None

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1 or prod(self.shape) > MOST_DIMS:
            raise DanluError(f"shape must hold positive numbers, got {self.shape}.")
        if not (isfinite(self.low) and isfinite(self.high) and self.low <= self.high):
            raise DanluError(f"low and high must be a range, got {self.low} and {self.high}.")
        if self.levels is not None and self.levels < 1:
            raise DanluError(f"levels must be positive, got {self.levels}.")
        if self.condition == ():
            raise DanluError("condition must be a kind, several, or None, got none at all.")

    @property
    def classes(self) -> int:
        """Number of classes; 0 where examples are told something else, or nothing."""
        return self.condition.classes if isinstance(self.condition, Classes) else 0

    @property
    def is_text(self) -> bool:
        """Whether an example is a row of characters or bytes."""
        return self.alphabet is not None

    @property
    def dims(self) -> int:
        """Numbers in one example."""
        return prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether an example is (channels, height, width)."""
        return len(self.shape) == 3

    @property
    def spacing(self) -> float:
        """Distance between neighbouring levels; raises ValueError for continuous data."""
        if self.levels is None:
            raise ValueError("continuous data has no spacing between levels")
        return (self.high - self.low) / (self.levels - 1)
