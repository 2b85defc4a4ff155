r"""Best fit in a window: the open pack takes the longest waiting document that still fits.

Up to $W$ documents wait. When none fits into the room that is left, the pack is finished and the
next one begins with the document that has waited longest. With $W = 1$ this is next-fit, which
keeps the order of the documents. When a pack is finished, the document that begins the next one did
not fit: two neighbouring packs hold more than a capacity, hence fewer than $2 L / C + 1$ packs for
$L$ tokens.

Use it as the default: it streams, no document waits for more than $W$ packs, and with a window of
a thousand hardly any room is left. Use next-fit where the order must stay.

Sources: D. S. Johnson, Near-Optimal Bin Packing Algorithms (1973); arXiv:2107.02027 §3.1 (packing
of sequences).
"""

from bisect import bisect_left, insort
from collections import deque
from typing import Any

from typing_extensions import override

from danlu.contracts import DanluError
from danlu.data.packing.packer import Pack, Packer, Piece, pieces, plain, size

_SHIFT = 40
_LAST = (1 << _SHIFT) - 1
"""A key orders by length, and among equal lengths the one that came first is the largest."""


class WindowBestFit(Packer):
    """Packs from a window of documents.

    Args:
        capacity: most tokens of a pack.
        window: how many documents wait.
    """

    def __init__(self, capacity: int, *, window: int = 1024) -> None:
        super().__init__(capacity)
        if window < 1:
            raise DanluError(f"The window must hold at least one document, got {window}.")
        self.window = window
        self._begin()

    def _begin(self) -> None:
        self._open: list[Piece] = []
        self._room = self.capacity
        self._keys: list[int] = []
        self._waiting: dict[int, int] = {}
        self._arrivals: deque[int] = deque()
        self._count = 0

    @override
    def place(self, document: int, length: int) -> list[Pack]:
        finished = self._take() if len(self._keys) == self.window else None
        key = length << _SHIFT | _LAST - self._count
        self._count += 1
        insort(self._keys, key)
        self._waiting[key] = document
        self._arrivals.append(key)
        return [] if finished is None else [finished]

    @override
    def finish(self) -> list[Pack]:
        finished = [pack for _ in range(len(self._keys)) if (pack := self._take()) is not None]
        if self._open:
            finished.append(tuple(self._open))
        self._begin()
        return finished

    def _take(self) -> Pack | None:
        """Move one document from the window to the open pack, or begin a new one with it."""
        finished, keys = None, self._keys
        place = bisect_left(keys, self._room + 1 << _SHIFT) - 1
        if place < 0 or not self._open:
            finished = tuple(self._open) or None
            self._open, self._room = [], self.capacity
            while self._arrivals[0] not in self._waiting:
                self._arrivals.popleft()
            place = bisect_left(keys, self._arrivals.popleft())
        key = keys.pop(place)
        length = key >> _SHIFT
        self._open.append((self._waiting.pop(key), 0, length))
        self._room -= length
        return finished

    @override
    def state(self) -> dict[str, Any]:
        waiting = [
            [self._waiting[key], key >> _SHIFT] for key in self._arrivals if key in self._waiting
        ]
        return {"open": plain(self._open), "waiting": waiting}

    @override
    def load(self, state: dict[str, Any]) -> None:
        self._begin()
        self._open = pieces(state["open"])
        self._room -= size(self._open)
        for document, length in state["waiting"]:
            self.place(document, length)
