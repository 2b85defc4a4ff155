r"""Wrapped: documents one after the other, cut where a pack is full.

Every pack but the last holds exactly the capacity. The pieces keep their boundaries, so nothing is
contaminated; but the rest of a document that was cut does not see its beginning, and the first
token of each piece is no target.

Use it for documents longer than a pack, or where every step must have exactly as many tokens.

Sources: arXiv:2005.14165 §2.3 (sequences of full length); arXiv:2404.10830 §2 (what cutting costs).
"""

from typing import Any

from typing_extensions import override

from danlu.data.packing.packer import Pack, Packer, Piece, pieces, plain, size


class Wrapped(Packer):
    """Packs of exactly the capacity, and the rest."""

    cuts = True

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._open: list[Piece] = []
        self._room = capacity

    @override
    def place(self, document: int, length: int) -> list[Pack]:
        finished: list[Pack] = []
        start = 0
        while True:
            stop = min(length, start + self._room)
            self._open.append((document, start, stop))
            self._room -= stop - start
            if not self._room:
                finished += self.finish()
            start = stop
            if start == length:
                return finished

    @override
    def finish(self) -> list[Pack]:
        finished = [tuple(self._open)] if self._open else []
        self._open, self._room = [], self.capacity
        return finished

    @override
    def state(self) -> dict[str, Any]:
        return {"open": plain(self._open)}

    @override
    def load(self, state: dict[str, Any]) -> None:
        self._open = pieces(state["open"])
        self._room = self.capacity - size(self._open)
