r"""The contract of packers: documents go in one by one, packs of `capacity` tokens come out.

A pack is a row of pieces, each the tokens `start` to `stop` of a document; its fill is the share of
the capacity that it uses. No packing of documents of $\ell_i$ tokens needs fewer than
$\lceil \sum_i \ell_i / C \rceil$ packs. Lengths are exact counts, and what comes out is a function
of what went in. The state, plain numbers, holds the documents that are in no finished pack yet: a
packer that loads it goes on as if nothing had happened.

Sources: D. S. Johnson, Near-Optimal Bin Packing Algorithms (1973).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from danlu.contracts import DanluError

Piece = tuple[int, int, int]
"""The number of a document, and which of its tokens: from the second up to the third number."""

Pack = tuple[Piece, ...]


class Packer(ABC):
    """Turns documents into packs.

    Attributes:
        capacity: most tokens of a pack.
        cuts: whether a document may be cut.
        streams: whether packs come out before all documents are in.
    """

    cuts: bool = False
    streams: bool = True

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise DanluError(f"A pack must hold at least one token, got {capacity}.")
        self.capacity = capacity

    def add(self, document: int, length: int) -> list[Pack]:
        """Take one more document; the packs that are finished by it.

        Raises:
            DanluError: it is longer than a pack.
        """
        if length > self.capacity and not self.cuts:
            raise DanluError(
                f"Document {document} has {length} tokens, a pack {self.capacity}: "
                "cut it before, or use the packer wrapped."
            )
        if length < 0:
            raise DanluError(f"Document {document} cannot have {length} tokens.")
        return self.place(document, length)

    @abstractmethod
    def place(self, document: int, length: int) -> list[Pack]:
        """What `add` does with a document that fits."""

    @abstractmethod
    def finish(self) -> list[Pack]:
        """The packs of all that is left."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What is in no finished pack yet, as plain lists of numbers."""

    @abstractmethod
    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state of a packer with the same options."""

    def packs(self, lengths: Iterable[int]) -> Iterator[Pack]:
        """The packs of documents 0, 1, ... of these lengths."""
        for document, length in enumerate(lengths):
            yield from self.add(document, length)
        yield from self.finish()


def tokens_of(packs: Iterable[Pack]) -> int:
    """Tokens in packs."""
    return sum(size(pack) for pack in packs)


def fill_of(packs: list[Pack], capacity: int) -> float:
    """The share of the capacity of all packs that holds tokens; 1 for no pack."""
    return tokens_of(packs) / (len(packs) * capacity) if packs else 1.0


def fewest_packs(lengths: Iterable[int], capacity: int) -> int:
    """A lower bound of the number of packs: all tokens by the capacity, rounded up."""
    return -(-sum(lengths) // capacity)


def size(pack: Iterable[Piece]) -> int:
    """Tokens in pieces."""
    return sum(stop - start for _, start, stop in pack)


def plain(pack: Iterable[Piece]) -> list[list[int]]:
    """Pieces as lists of numbers."""
    return [list(piece) for piece in pack]


def pieces(rows: Iterable[list[int]]) -> list[Piece]:
    """Lists of numbers as pieces."""
    return [(document, start, stop) for document, start, stop in rows]
