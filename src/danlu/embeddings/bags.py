"""Bags of rows of different sizes, one after the other: contexts, n-grams, words of sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, eq=False)
class Bags:
    """Row numbers of many bags.

    Attributes:
        rows: the rows of all bags.
        sizes: how many belong to each.
    """

    rows: Int[Tensor, " entries"]
    sizes: Int[Tensor, " bags"]

    def __len__(self) -> int:
        return len(self.sizes)

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> "Bags":
        """Bags out of lists."""
        rows = torch.tensor([row for each in lists for row in each], dtype=torch.long)
        return cls(rows, torch.tensor([len(each) for each in lists], dtype=torch.long))

    @property
    def starts(self) -> Int[Tensor, " bags"]:
        """Where each bag begins."""
        return self.sizes.cumsum(0) - self.sizes

    @property
    def owner(self) -> Int[Tensor, " entries"]:
        """The bag of each entry."""
        return torch.repeat_interleave(self.sizes)

    def chosen(self, which: Int[Tensor, " chosen"]) -> "Bags":
        """Some of the bags, in any order and as often as named."""
        sizes = self.sizes[which]
        inside = torch.arange(int(sizes.sum())) - torch.repeat_interleave(
            sizes.cumsum(0) - sizes, sizes
        )
        return Bags(self.rows[torch.repeat_interleave(self.starts[which], sizes) + inside], sizes)

    def expanded(self, parts: "Bags") -> "Bags":
        """Each entry replaced by a bag of its own, such as a word by its n-grams."""
        inner = parts.chosen(self.rows)
        sizes = torch.zeros_like(self.sizes).index_add_(0, self.owner, inner.sizes)
        return Bags(inner.rows, sizes)

    def total(
        self, table: Float[Tensor, "vocab dim"], weights: Float[Tensor, " vocab"] | None = None
    ) -> Float[Tensor, "bags dim"]:
        """The sum of each bag's rows, weighted row by row.

        It is what a dense layer makes of a bag of words. Source: kexue.fm/archives/4233.
        """
        per_entry = None if weights is None else weights[self.rows]
        return functional.embedding_bag(
            self.rows, table, self.starts, mode="sum", per_sample_weights=per_entry
        )

    def mean(self, table: Float[Tensor, "vocab dim"]) -> Float[Tensor, "bags dim"]:
        """The mean of each bag's rows; zero for an empty bag."""
        return self.total(table) / self.sizes.clamp(min=1)[:, None]
