"""A batch of examples and the stream that draws them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int, Integer, Num
from torch import Tensor

from danlu.contracts.condition import class_ids
from danlu.contracts.description import DataDescription


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of a whole batch a part of it has: `first` up to `last`, of `whole`."""

    first: int
    last: int
    whole: int

    def __len__(self) -> int:
        """Number of rows in the part."""
        return self.last - self.first

    @property
    def share(self) -> float:
        """The part over the whole."""
        return len(self) / self.whole


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples with their class ids and their indices in the source.

    Attributes:
        x: `[batch, *shape]`, on the scale of the data description; ids are whole numbers.
        condition: `[batch]` class ids, whole numbers of any type, kept as int64; or None.
        index: `[batch]` position of each example in its source.
        part: which rows of a batch that is shared among processes; None when this is all of it.
    """

    x: Num[Tensor, "batch ..."]
    condition: Integer[Tensor, " batch"] | None
    index: Int[Tensor, " batch"]
    part: Rows | None = None

    def __post_init__(self) -> None:
        if self.condition is not None and self.condition.dtype != torch.long:
            object.__setattr__(self, "condition", class_ids(self.condition))

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.x)

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> "Batch":
        """The same batch on a device; `dtype` changes x alone."""
        condition = None if self.condition is None else self.condition.to(device)
        return Batch(self.x.to(device, dtype), condition, self.index.to(device), self.part)

    @property
    def rows(self) -> Rows:
        """The rows of the whole batch that are here."""
        return self.part or Rows(0, len(self), len(self))

    def split(self, parts: int) -> Iterator["Batch"]:
        """At most so many parts of about the same size, none empty."""
        place = self.rows
        for part in range(parts):
            first, last = (len(self) * k // parts for k in (part, part + 1))
            if first == last:
                continue
            condition = None if self.condition is None else self.condition[first:last]
            rows = Rows(place.first + first, place.first + last, place.whole)
            yield Batch(self.x[first:last], condition, self.index[first:last], rows)


@runtime_checkable
class Stream(Protocol):
    """An endless, resumable stream of batches.

    The order is a function of (seed, epoch, index) and augmentation of (seed, index), hence
    `position`, the number of examples consumed over all processes, is its whole state.
    """

    description: DataDescription
    position: int

    def __iter__(self) -> Iterator[Batch]: ...
    def __next__(self) -> Batch: ...

    def seek(self, position: int) -> None:
        """Go to an exact example."""
        ...

    def once(self, batch: int) -> Iterator[Batch]:
        """Every example once, in source order, without augmentation; moves no position."""
        ...

    def sharded(self, rank: int, world: int) -> "Stream":
        """The same stream at the same position, giving only one of `world` parts of each batch."""
        ...

    def replaced(self, x: Tensor, description: DataDescription) -> "Stream":
        """The same order and conditions over other values, such as codes; x is by source index.

        Of k values over n examples, number i has the condition of example floor(i n / k).
        """
        ...
