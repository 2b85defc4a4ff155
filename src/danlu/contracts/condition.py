"""What an example is told to be, what kind of thing that is, and what networks read of it.

A `Condition` is a batch of classes, vectors, texts or images, or of several of these, of which
each row may be left out. It travels unread from the data to a conditioner, which turns it into
`Features`. The kind is a fact of the data and stands in its description.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor
from torch.utils import _pytree as pytree

from danlu.contracts.errors import DanluError
from danlu.contracts.sequence import SequenceContext

Memory = tuple[Float[Tensor, "batch keys values"], SequenceContext]
"""Tokens that are attended to, and which of them are valid."""


def class_ids(given: Any) -> Int[Tensor, "*batch"]:
    """Class ids as int64, from whole numbers of any type.

    Raises:
        DanluError: they are no whole numbers; a mask or a score is not taken for an id.
    """
    try:
        ids = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        raise DanluError(f"Class ids are whole numbers of up to 64 bits, got {given!r}.") from None
    if ids.dtype == torch.bool or ids.is_floating_point() or ids.is_complex():
        raise DanluError(f"Class ids are whole numbers, got {ids.dtype}: convert them first.")
    return ids.long()


@dataclass(frozen=True, slots=True)
class Condition:
    """What each example of a batch is told to be.

    Attributes:
        values: `[batch]` class ids, `[batch, features]` vectors, `[batch, length]` tokens or
            `[batch, *shape]` images; or a condition of each of several kinds.
        valid: `[batch, length]`, False behind the end of a text; None where all is valid.
        given: `[batch]`, False where nothing is told; None where all of it is.
    """

    values: "Num[Tensor, 'batch ...'] | tuple[Condition, ...]"
    valid: Bool[Tensor, "batch length"] | None = None
    given: Bool[Tensor, " batch"] | None = None

    def __post_init__(self) -> None:
        whole = isinstance(self.values, Tensor) and not self.values.is_floating_point()
        if whole and self.values.dtype != torch.long:  # type: ignore[union-attr]
            object.__setattr__(self, "values", class_ids(self.values))

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.values[0] if isinstance(self.values, tuple) else self.values)

    def __getitem__(self, rows: "slice | Tensor") -> "Condition":
        """The condition of some of the examples."""
        return pytree.tree_map_only(Tensor, lambda leaf: leaf[rows], self)

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> "Condition":
        """The same on a device; `dtype` changes vectors and images alone."""
        moved = lambda leaf: leaf.to(device, dtype if leaf.is_floating_point() else None)
        return pytree.tree_map_only(Tensor, moved, self)

    def only(self, keep: Bool[Tensor, " batch"]) -> "Condition":
        """The same where `keep`; nothing is told elsewhere."""
        return Condition(self.values, self.valid, keep if self.given is None else self.given & keep)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return pytree.tree_leaves(self)[0].device

    @property
    def present(self) -> Bool[Tensor, " batch"]:
        """Of which examples something is told."""
        if self.given is not None:
            return self.given
        return torch.ones(len(self), dtype=torch.bool, device=self.device)

    @property
    def ids(self) -> Int[Tensor, " batch"] | None:
        """The class ids; None where it is of another kind."""
        found = isinstance(self.values, Tensor) and self.values.ndim == 1
        return self.values if found else None  # type: ignore[return-value]


pytree.register_pytree_node(
    Condition,
    lambda condition: ([condition.values, condition.valid, condition.given], None),
    lambda parts, _: Condition(*parts),
    serialized_type_name="danlu.contracts.Condition",
)


Told = Condition | None
"""What a batch is told; None is the null condition for all."""


@dataclass(frozen=True, slots=True)
class Features:
    """What networks read of a condition.

    Attributes:
        vector: modulates every layer.
        tokens: are attended to; None where the condition has none.
        valid: which of the tokens say something; None where all do.
    """

    vector: Float[Tensor, "batch dim"]
    tokens: Float[Tensor, "batch keys values"] | None = None
    valid: Bool[Tensor, "batch keys"] | None = None

    @property
    def memory(self) -> Memory | None:
        """The tokens as the memory of a `SequenceContext`."""
        return None if self.tokens is None else (self.tokens, SequenceContext(valid=self.valid))
