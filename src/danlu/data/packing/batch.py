"""A batch of packed documents: all their tokens in one row, with boundaries and positions."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Int, Num
from torch import Tensor

from danlu.contracts import Batch, DanluError, Rows, SequenceContext
from danlu.contracts.batch import extra_to
from danlu.layers.packing import boundaries, check_boundaries, document_ids

NO_TARGET = -100
"""The label of a token that nobody has to predict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBatch(Batch):
    """Documents in one row.

    `rows` counts targets: a loss that is a mean over the targets of a part, weighted by the part's
    share as the trainer does, adds up to the mean over all targets of all parts and processes.

    Attributes:
        x: `[1, total]` ids, or `[1, total, features]`.
        cu_seqlens: boundaries of the documents.
        positions: by default the order inside each document.
        labels: what is predicted of each token, -100 where nothing; the ids unless given.
        lengths: of the documents; filled in from the boundaries.
        extra: what else belongs to each token, `[1, total, ...]`.
    """

    cu_seqlens: Int[Tensor, " boundaries"]
    positions: Num[Tensor, "1 total *axes"] | None = None
    labels: Int[Tensor, "1 total"] | None = None
    lengths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        lengths = check_boundaries(self.cu_seqlens, self.x.shape[1])
        object.__setattr__(self, "lengths", lengths)

    @classmethod
    def of(cls, x: Num[Tensor, "1 total *features"], lengths: tuple[int, ...]) -> "PackedBatch":
        """Documents of these lengths, one after the other in x."""
        index = torch.zeros(1, dtype=torch.long, device=x.device)
        return cls(x=x, condition=None, index=index, cu_seqlens=boundaries(lengths, x.device))

    @property
    def context(self) -> SequenceContext:
        """What layers must know; no state is kept, as in training."""
        return SequenceContext(
            positions=self.positions,
            cu_seqlens=self.cu_seqlens,
            lengths=self.lengths,
            remember=False,
        )

    @property
    def place(self) -> Num[Tensor, "1 total *axes"]:
        """The positions, by default the order inside each document."""
        found = SequenceContext(positions=self.positions, cu_seqlens=self.cu_seqlens)
        placed = found.placed(self.x).positions
        assert placed is not None
        return placed

    def targets(self) -> tuple[Int[Tensor, " targets"], Int[Tensor, " targets"]]:
        """The tokens that have a next one in their document, and the id of the next one."""
        given = self.x if self.labels is None else self.labels
        if given.ndim != 2 or given.dtype.is_floating_point:
            raise DanluError("What has no ids needs labels to have targets.")
        document = document_ids(self.cu_seqlens, given.shape[1])
        follows = (document[1:] == document[:-1]) & (given[0, 1:] != NO_TARGET)
        index = follows.nonzero()[:, 0]
        return index, given[0, 1:][index]

    @property
    def count(self) -> int:
        """Number of targets."""
        if self.labels is not None:
            return len(self.targets()[0])
        return sum(max(length - 1, 0) for length in self.lengths)

    @property
    def rows(self) -> Rows:
        """The targets of the whole batch that are here."""
        return Rows(0, self.count, self.count) if self.part is None else self.part

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> "PackedBatch":
        """The same batch on a device; `dtype` is for x, and for what else has fractions."""
        rest = {
            name: None if (part := getattr(self, name)) is None else part.to(device)
            for name in ("index", "condition", "cu_seqlens", "positions", "labels")
        }
        extra = extra_to(self.extra, device, dtype)
        return replace(self, x=self.x.to(device, dtype), extra=extra, **rest)

    def __getitem__(self, rows: slice | Int[Tensor, " chosen"]) -> "PackedBatch":
        """Documents next to one another, as a batch of their own."""
        if not isinstance(rows, slice):
            raise DanluError("Of packed documents a slice can be taken, not a choice.")
        begin, end, step = rows.indices(len(self.lengths))
        if step != 1:
            raise DanluError(f"Packed documents are taken one after the other, not by {step}.")
        return self._documents(begin, max(begin, end))

    def split(self, parts: int) -> Iterator["PackedBatch"]:
        """At most so many parts of whole documents with about as many tokens, none empty."""
        total, place = self.x.shape[1], self.rows
        ends = self.cu_seqlens.tolist()
        goals = [total * part / parts for part in range(1, parts)]
        inner = {
            min(range(len(ends)), key=lambda cut, g=goal: abs(ends[cut] - g)) for goal in goals
        }
        cuts = sorted(inner | {0, len(ends) - 1})
        first = place.first
        for begin, end in pairwise(cuts):
            part = self._documents(begin, end)
            if part.x.shape[1]:
                last = first + part.count
                yield replace(part, part=Rows(first, last, place.whole))
                first = last

    def _documents(self, begin: int, end: int) -> "PackedBatch":
        tokens = slice(int(self.cu_seqlens[begin]), int(self.cu_seqlens[end]))
        return replace(
            self,
            x=self.x[:, tokens],
            cu_seqlens=self.cu_seqlens[begin : end + 1] - self.cu_seqlens[begin],
            positions=None if self.positions is None else self.positions[:, tokens],
            labels=None if self.labels is None else self.labels[:, tokens],
            extra={name: value[:, tokens] for name, value in self.extra.items()},
            part=None,
        )
