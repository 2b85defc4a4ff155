"""A batch of examples and the stream that draws them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int, Num, Shaped
from torch import Tensor

from danlu.contracts.condition import Condition
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
    """Examples, what they are told, their indices in the source and what else belongs to them.

    Attributes:
        x: `[batch, *shape]`, on the scale of the data description; ids are whole numbers.
        condition: what each is told to be; None where nothing is.
        index: `[batch]` position of each example in its source.
        part: which rows of a batch that is shared among processes; None when this is all of it.
        extra: by name what else belongs to each example, such as the other half of a pair, labels
            of frames or actions.
    """

    x: Num[Tensor, "batch ..."]
    condition: Condition | None
    index: Int[Tensor, " batch"]
    part: Rows | None = None
    extra: Mapping[str, Shaped[Tensor, "batch ..."]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.x)

    def __getitem__(self, rows: slice | Int[Tensor, " chosen"]) -> "Batch":
        """Some of the examples, with all that belongs to them, as a batch of their own."""
        condition = None if self.condition is None else self.condition[rows]
        extra = {name: value[rows] for name, value in self.extra.items()}
        return Batch(self.x[rows], condition, self.index[rows], extra=extra)

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> "Batch":
        """The same batch on a device; `dtype` is for x, and for what else has fractions."""
        condition = None if self.condition is None else self.condition.to(device, dtype)
        extra = extra_to(self.extra, device, dtype)
        return Batch(self.x.to(device, dtype), condition, self.index.to(device), self.part, extra)

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
            rows = Rows(place.first + first, place.first + last, place.whole)
            yield replace(self[first:last], part=rows)


def extra_to(
    extra: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype | None
) -> dict[str, Tensor]:
    """What else belongs to examples, on a device; labels and ids keep their type."""
    exact = dtype is None or not dtype.is_floating_point
    return {
        name: value.to(device, None if exact or not value.is_floating_point() else dtype)
        for name, value in extra.items()
    }


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

    def replaced(
        self,
        x: Tensor,
        description: DataDescription,
        extra: Mapping[str, Tensor] | None = None,
    ) -> "Stream":
        """The same order, conditions and extras over other values, such as codes, by source index.

        Of k values over n examples, number i has the condition and the extras of example
        floor(i n / k); `extra` adds to these, a row for each value.
        """
        ...
