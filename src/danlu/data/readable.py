"""Examples that stay in their files and are read where they are wanted."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, Num
from torch import Tensor

Rows = slice | Int[np.ndarray, " chosen"]


@runtime_checkable
class Readable(Protocol):
    """What can be read a few rows at a time, as if it were an array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all rows together."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Of what is read."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Rows) -> np.ndarray: ...


class Converted:
    """An array in a file, each part of which is changed where it is read.

    Args:
        array: mapped.
        dtype: of what is read.
        change: makes numbers of that type of a part; None casts it.
    """

    def __init__(
        self, array: np.ndarray, dtype: type, change: Callable[[np.ndarray], np.ndarray] | None
    ) -> None:
        self.array, self.change = array, change
        self.shape, self.dtype = array.shape, np.dtype(dtype)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.array.size

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: Rows) -> np.ndarray:
        part = np.asarray(self.array[rows])
        return (part if self.change is None else self.change(part)).astype(self.dtype)


Stored = Num[Tensor, "n ..."] | Readable
"""In memory, or in a file."""
