"""A data set in memory: three splits, its description, and what a person should know of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Num
from torch import Tensor
from torch.utils import _pytree as pytree

from danlu.contracts import Batch, Condition, DataDescription
from danlu.data.readable import Stored
from danlu.reading import require_memory

LARGE = 1 << 26
"""Bytes of a split from which on the memory is asked before all of it is read."""
LogDensity = Callable[[Float[Tensor, "batch 2"]], Float64[Tensor, " batch"]]


def level_grid(description: DataDescription) -> Float[Tensor, " levels"]:
    """The float32 value of every level, correctly rounded, with exact end points."""
    levels = description.levels
    if levels is None:
        raise ValueError("continuous data has no levels")
    k = torch.arange(levels, dtype=torch.float64)
    grid = (description.low * (levels - 1 - k) + description.high * k) / (levels - 1)
    return grid.float()


class Examples:
    """One split: values as compact as they came, what each is told beside them.

    `uint8` values are levels and become `low + level * spacing` when read; all others, such as
    floats or a quantiser's ids, are read as they are. Splits may share their values, which may stay
    in files: then `rows` says which ones belong to this split.

    Args:
        stored: the values.
        condition: what each example is told, or a class id for each; None tells nothing.
        description: of the data.
        rows: which of the values are the examples; None takes all.
        extra: what else belongs to each example, by name.
    """

    def __init__(
        self,
        stored: Stored,
        condition: Condition | Int[Tensor, " m"] | None,
        description: DataDescription,
        rows: Int[Tensor, " m"] | None = None,
        extra: Mapping[str, Tensor] | None = None,
    ) -> None:
        if tuple(stored.shape[1:]) != description.shape:
            raise ValueError(
                f"examples of shape {tuple(stored.shape[1:])} do not fit {description.shape}"
            )
        self.stored = stored
        told = isinstance(condition, Condition | None)
        self.condition: Condition | None = condition if told else Condition(condition)
        self.description = description
        self.rows = rows
        self.extra = {} if extra is None else dict(extra)
        for name, value in self.extra.items():
            if len(value) != len(self):
                raise ValueError(f"{len(value)} of {name!r} for {len(self)} examples")
        levels = stored.dtype in (torch.uint8, np.uint8)
        self._grid = level_grid(description) if levels else None

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.stored if self.rows is None else self.rows)

    @property
    def whole(self) -> int:
        """Bytes of all examples on the scale that models see."""
        return 4 * len(self) * self.description.dims

    @property
    def values(self) -> Num[Tensor, "m ..."]:
        """All values as they are stored; a copy where splits share them."""
        return self._taken(None)

    def blocks(self, size: int = 1024) -> Iterator[Num[Tensor, "part ..."]]:
        """Values as they are stored, some at a time."""
        if isinstance(self.stored, Tensor) and self.rows is None:
            yield from self.stored.split(size)
            return
        for first in range(0, len(self), size):
            yield self._taken(torch.arange(first, min(first + size, len(self))))

    def _taken(self, indices: Int[Tensor, " batch"] | None) -> Num[Tensor, "batch ..."]:
        """The chosen examples, or all, as they are stored."""
        rows = indices
        if self.rows is not None:
            rows = self.rows if indices is None else self.rows.index_select(0, indices)
        if isinstance(self.stored, Tensor):
            return self.stored if rows is None else self.stored.index_select(0, rows)
        return torch.from_numpy(self.stored[slice(None) if rows is None else rows.numpy()])

    def kept(self, chosen: Int[Tensor, " chosen"]) -> "Examples":
        """Some of the examples, on the same values."""
        rows = chosen if self.rows is None else self.rows.index_select(0, chosen)
        extra = self.extras(chosen)
        return Examples(self.stored, self.told(chosen), self.description, rows, extra)

    def x(self, indices: Int[Tensor, " batch"] | None = None) -> Num[Tensor, "batch ..."]:
        """The chosen examples, or all, on the scale that models see.

        Raises:
            DanluError: of all, the memory will not do.
        """
        if indices is None and self.whole > LARGE:
            require_memory(self.whole, f"All {len(self):,} examples of a split at once")
        values = self._taken(indices)
        if self._grid is None:
            return values
        return self._grid.index_select(0, values.flatten().int()).view(values.shape)

    def content(self) -> Iterator[Tensor]:
        """The tensors that make up the split, values some at a time."""
        yield from self.blocks()
        if self.condition is not None:
            leaves = pytree.tree_leaves(self.condition)
            yield from (leaf for leaf in leaves if isinstance(leaf, Tensor))
        yield from self.extra.values()

    @property
    def ids(self) -> Int[Tensor, " m"] | None:
        """The class ids of all; None where they are told something else, or nothing."""
        return None if self.condition is None else self.condition.ids

    def told(self, indices: Int[Tensor, " batch"]) -> Condition | None:
        """What the chosen examples are told; None where nothing is."""
        return None if self.condition is None else self.condition[indices]

    def classes(self, indices: Int[Tensor, " batch"]) -> Int[Tensor, " batch"] | None:
        """The class ids of the chosen examples; None when the data has none."""
        return None if self.ids is None else self.ids.index_select(0, indices)

    def extras(self, indices: Int[Tensor, " batch"]) -> dict[str, Tensor]:
        """What else belongs to the chosen examples."""
        return {name: value.index_select(0, indices) for name, value in self.extra.items()}

    def batch(self, indices: Int[Tensor, " batch"]) -> Batch:
        """The chosen examples with all that belongs to them."""
        return Batch(self.x(indices), self.told(indices), indices, extra=self.extras(indices))


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A data set, ready to train on.

    Attributes:
        name: public name, or that of the folder or file.
        description: shape, levels, scale and classes.
        class_names: one for each class id; empty without classes.
        training: what models learn from.
        validation: the floor row and every choice.
        test: the reference, read once by the command that prints a figure.
        notices: lines that are said before the start.
        skipped: every file that was left out, `path: reason`.
        log_density: the exact log-density in nats, where it is known.
        modes: `[modes, 2]` centres of a mixture with well-separated modes.
        mode_scale: standard deviation of each mode.
    """

    name: str
    description: DataDescription
    class_names: tuple[str, ...] = ()
    training: Examples
    validation: Examples
    test: Examples
    notices: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    log_density: LogDensity | None = None
    modes: Float[Tensor, "modes 2"] | None = None
    mode_scale: float | None = None
