r"""Best fit decreasing: from the longest document on, each goes where the least room is left.

At most $\frac{11}{9}$ times the best number of packs plus $\frac{6}{9}$. Open packs are found by
their room in a sorted list of the rooms that occur.

Use it where all documents are known at the beginning and their order does not matter.

Sources: D. S. Johnson et al., SIAM J. Comput. 3, 299 (1974); G. Dósa (2007), the bound;
arXiv:2404.10830 §3 (best fit for sequences).
"""

from bisect import bisect_left, insort
from typing import Any

from typing_extensions import override

from danlu.data.packing.packer import Pack, Packer, Piece


class BestFitDecreasing(Packer):
    """Packs of all documents at the end."""

    streams = False

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._all: list[tuple[int, int]] = []

    @override
    def place(self, document: int, length: int) -> list[Pack]:
        self._all.append((document, length))
        return []

    @override
    def finish(self) -> list[Pack]:
        packs: list[list[Piece]] = []
        rooms: list[int] = []
        having: dict[int, list[int]] = {}
        for document, length in sorted(self._all, key=lambda each: -each[1]):
            place = bisect_left(rooms, length)
            if place == len(rooms):
                number, room = len(packs), self.capacity
                packs.append([])
            else:
                room = rooms[place]
                number = having[room].pop()
                if not having[room]:
                    rooms.pop(place)
            packs[number].append((document, 0, length))
            left = room - length
            if not having.setdefault(left, []):
                insort(rooms, left)
            having[left].append(number)
        self._all = []
        return [tuple(pack) for pack in packs]

    @override
    def state(self) -> dict[str, Any]:
        return {"all": [list(each) for each in self._all]}

    @override
    def load(self, state: dict[str, Any]) -> None:
        self._all = [(document, length) for document, length in state["all"]]
