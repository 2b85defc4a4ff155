r"""Packed documents in groups of about the same length, each of which is computed as rows.

Rows of unequal documents cost work on padding, many small groups cost calls. With lengths sorted,
$\ell_1 > \dots > \ell_m$, and $n_i$ documents of each, a group from $i$ to $j$ costs
$c + w(\ell_i) \sum_{i \le k \le j} n_k$, where $w(\ell) = a\ell + b\ell^2$ is the work of a row and
$c$ that of a call; the cheapest cuts are found by dynamic programming. Where groups of equal
documents, which have no padding, cost hardly more, they are taken. Few long documents thus become
a loop over documents, many short ones a few padded batches.

Sources: R. Bellman, The Theory of Dynamic Programming (1954).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

CUTS = 64
"""Most places between lengths at which the dynamic program may cut."""
SLACK = 1.1
"""Groups without padding are taken where they cost at most this many times the least."""

Lengths = tuple[int, ...]


@dataclass(frozen=True)
class Groups:
    """Which packed documents are computed side by side.

    Attributes:
        lengths: of all documents, in the order in which they are packed.
        members: the documents of each group.
    """

    lengths: Lengths
    members: tuple[Lengths, ...]

    def take(self, x: Shaped[Tensor, "total *axes"]) -> list[Tensor]:
        """The rows of each group, `[documents, longest, *axes]`, with zeros on the right."""
        if self._order is not None:
            x = x.index_select(0, self._order.to(x.device))
        parts = x.split([sum(self._of(group)) for group in self.members])
        return [
            self._rows(part, number, group)
            for number, (part, group) in enumerate(zip(parts, self.members, strict=True))
        ]

    def put(self, rows: Sequence[Tensor]) -> Shaped[Tensor, "total *axes"]:
        """The tokens of the rows of all groups, in the order in which they are packed."""
        parts = []
        for number, row in enumerate(rows):
            cells = self._cells[number]
            flat = row.flatten(0, 1)
            parts.append(flat if cells is None else flat.index_select(0, cells.to(row.device)))
        packed = parts[0] if len(parts) == 1 else torch.cat(parts)
        return (
            packed if self._back is None else packed.index_select(0, self._back.to(rows[0].device))
        )

    def valid(self, number: int, device: torch.device) -> Bool[Tensor, "documents longest"] | None:
        """Where the rows of a group hold tokens; None if everywhere."""
        lengths = self._of(self.members[number])
        if min(lengths) == max(lengths):
            return None
        cell = torch.arange(max(lengths), device=device)
        return cell < torch.tensor(lengths, device=device)[:, None]

    @property
    def padding(self) -> int:
        """Cells of the rows that hold no token."""
        cells = sum(len(group) * max(self._of(group)) for group in self.members)
        return cells - sum(self.lengths)

    @property
    def rank(self) -> Int[Tensor, " documents"]:
        """Where each document stands when the groups follow one another."""
        return torch.tensor([each for group in self.members for each in group]).argsort()

    def _of(self, group: Lengths) -> Lengths:
        return tuple(self.lengths[document] for document in group)

    def _rows(self, part: Tensor, number: int, group: Lengths) -> Tensor:
        lengths, cells = self._of(group), self._cells[number]
        if cells is None:
            return part.unflatten(0, (len(group), max(lengths)))
        empty = part.new_zeros(len(group) * max(lengths), *part.shape[1:])
        return empty.index_copy(0, cells.to(part.device), part).unflatten(0, (len(group), -1))

    @cached_property
    def _order(self) -> Tensor | None:
        """The packed tokens in the order of the groups; None if it is the same."""
        starts = [0, *accumulate(self.lengths)]
        order = [
            token
            for group in self.members
            for document in group
            for token in range(starts[document], starts[document + 1])
        ]
        return None if order == list(range(len(order))) else torch.tensor(order)

    @cached_property
    def _back(self) -> Tensor | None:
        return None if self._order is None else self._order.argsort()

    @cached_property
    def _cells(self) -> list[Tensor | None]:
        """The cells of each group's rows that hold tokens; None if all do."""
        found: list[Tensor | None] = []
        for number in range(len(self.members)):
            valid = self.valid(number, torch.device("cpu"))
            found.append(None if valid is None else valid.flatten().nonzero()[:, 0])
        return found


@lru_cache(maxsize=256)
def grouped(lengths: Lengths, linear: float, quadratic: float, call: float) -> Groups:
    """The cheapest groups.

    Args:
        lengths: of the documents.
        linear: work of a token.
        quadratic: work of a pair of tokens of one document.
        call: work that takes as long as the call for one more group.
    """
    of_length: dict[int, list[int]] = defaultdict(list)
    for document, length in enumerate(lengths):
        of_length[length].append(document)
    distinct = sorted(of_length, reverse=True)
    work = [linear * length + quadratic * length**2 for length in distinct]
    number = [0, *accumulate(len(of_length[length]) for length in distinct)]
    cuts, least = _cheapest(work, number, call)
    alone = sum(call + w * (b - a) for w, (a, b) in zip(work, pairwise(number), strict=True))
    if alone <= SLACK * least:
        cuts = list(range(len(distinct) + 1))
    groups = [
        tuple(sorted(d for length in distinct[first:last] for d in of_length[length]))
        for first, last in pairwise(cuts)
    ]
    return Groups(lengths, tuple(sorted(groups)))


def _cheapest(work: list[float], number: list[int], call: float) -> tuple[list[int], float]:
    """The cuts between sorted lengths that cost least, and their cost."""
    last = len(work)
    places = sorted({round(last * k / min(last, CUTS)) for k in range(min(last, CUTS) + 1)})
    cost, before = {0: 0.0}, {}
    for end in places[1:]:
        cost[end], before[end] = min(
            (cost[begin] + call + work[begin] * (number[end] - number[begin]), begin)
            for begin in places
            if begin < end
        )
    cuts = [last]
    while cuts[-1]:
        cuts.append(before[cuts[-1]])
    return cuts[::-1], cost[last]
