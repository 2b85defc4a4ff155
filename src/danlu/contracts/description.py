"""What a model must know of its data: shape, levels, scale and classes."""

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, kw_only=True, slots=True)
class DataDescription:
    """Facts of a data set, recorded in a run and enough to build a model for it.

    Attributes:
        shape: `(features,)` or `(channels, height, width)` of one example.
        levels: number of discrete values, evenly spaced on [low, high]; None when continuous.
        low: smallest value a model sees.
        high: largest value a model sees.
        classes: number of classes; 0 when the data has none.
        alphabet: of text, the character behind each id; empty where ids are bytes; None for all
            other data.
    """

    shape: tuple[int, ...]
    levels: int | None
    low: float
    high: float
    classes: int
    alphabet: str | None = None

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
