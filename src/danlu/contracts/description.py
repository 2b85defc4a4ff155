"""What a model must know of its data: kind, shape, levels, scale and what examples are told."""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite, prod

from danlu.contracts.condition_kinds import Classes, Kind
from danlu.contracts.errors import DanluError

MOST_DIMS = 2**30
"""Numbers in the largest example that anybody describes."""


class DataKind(StrEnum):
    """What the numbers of an example are; a source declares it, and nobody guesses it."""

    VECTOR = "vector"
    IMAGE = "image"
    TEXT = "text"
    STREAM = "stream"
    VIDEO = "video"


AXES = {
    DataKind.VECTOR: ("features",),
    DataKind.IMAGE: ("channels", "height", "width"),
    DataKind.TEXT: ("length",),
    DataKind.STREAM: ("time", "features"),
    DataKind.VIDEO: ("time", "channels", "height", "width"),
}
"""The axes of one example of each kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataDescription:
    """Facts of a data set, recorded in a run and enough to build a model for it.

    Attributes:
        shape: of one example, with the axes of its kind.
        levels: number of discrete values, evenly spaced on [low, high]; None when continuous.
        low: smallest value a model sees.
        high: largest value a model sees.
        condition: the kind of what each example is told; None when nothing is.
        alphabet: of text, the character behind each id; empty where ids are bytes; None for all
            other data.
        kind: what an example is; a vector unless it is declared otherwise.
    """

    shape: tuple[int, ...]
    levels: int | None
    low: float
    high: float
    condition: Kind | None = None
    alphabet: str | None = None
    kind: DataKind = DataKind.VECTOR

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1 or prod(self.shape) > MOST_DIMS:
            raise DanluError(f"shape must hold positive numbers, got {self.shape}.")
        if not (isfinite(self.low) and isfinite(self.high) and self.low <= self.high):
            raise DanluError(f"low and high must be a range, got {self.low} and {self.high}.")
        if self.levels is not None and self.levels < 1:
            raise DanluError(f"levels must be positive, got {self.levels}.")
        if self.condition == ():
            raise DanluError("condition must be a kind, several, or None, got none at all.")
        if len(self.shape) != len(AXES[self.kind]):
            axes = ", ".join(AXES[self.kind])
            raise DanluError(f"An example of kind {self.kind} has axes ({axes}), got {self.shape}.")
        if (self.alphabet is not None) != self.is_text:
            raise DanluError(f"Text has an alphabet and other data none, got kind {self.kind}.")

    @property
    def classes(self) -> int:
        """Number of classes; 0 where examples are told something else, or nothing."""
        return self.condition.classes if isinstance(self.condition, Classes) else 0

    @property
    def is_text(self) -> bool:
        """Whether an example is a row of characters or bytes."""
        return self.kind is DataKind.TEXT

    @property
    def dims(self) -> int:
        """Numbers in one example."""
        return prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether an example is (channels, height, width)."""
        return self.kind is DataKind.IMAGE

    @property
    def is_plane(self) -> bool:
        """Whether an example is a point of the plane, which can be drawn."""
        return self.kind is DataKind.VECTOR and self.shape == (2,)

    @property
    def spacing(self) -> float:
        """Distance between neighbouring levels; raises ValueError for continuous data."""
        if self.levels is None:
            raise ValueError("continuous data has no spacing between levels")
        return (self.high - self.low) / (self.levels - 1)
