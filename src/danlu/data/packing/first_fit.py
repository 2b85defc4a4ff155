r"""First fit: each document goes into the first pack that has room for it.

At most $1.7$ times the best number of packs. A tree of the largest room of each half finds the
pack in $\log_2$ of their number. Packs stay open until the end, in the order in which they began.

Use it where all documents are known and their order should be kept as far as possible.

Sources: D. S. Johnson et al., SIAM J. Comput. 3, 299 (1974); G. Dósa, J. Sgall (2013), the bound
without an additive constant.
"""

from typing import Any

from typing_extensions import override

from danlu.data.packing.packer import Pack, Packer, Piece, pieces, plain


class FirstFit(Packer):
    """Packs in the order in which they began."""

    streams = False

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._begin(1)

    def _begin(self, leaves: int) -> None:
        self._open: list[list[Piece]] = []
        self._leaves = leaves
        # Node n has the children 2n and 2n + 1; a pack that has not begun has all its room.
        self._rooms = [self.capacity] * (2 * leaves)

    @override
    def place(self, document: int, length: int) -> list[Pack]:
        if self._rooms[1] < length:
            self._grow()
        node = 1
        while node < self._leaves:
            node = 2 * node + (self._rooms[2 * node] < length)
        self._put(node - self._leaves, (document, 0, length))
        return []

    def _grow(self) -> None:
        """Twice as many places for packs."""
        packs = self._open
        self._begin(2 * self._leaves)
        for number, pack in enumerate(packs):
            for piece in pack:
                self._put(number, piece)

    def _put(self, number: int, piece: Piece) -> None:
        if number == len(self._open):
            self._open.append([])
        self._open[number].append(piece)
        node = number + self._leaves
        self._rooms[node] -= piece[2] - piece[1]
        while node > 1:
            node //= 2
            self._rooms[node] = max(self._rooms[2 * node], self._rooms[2 * node + 1])

    @override
    def finish(self) -> list[Pack]:
        finished = [tuple(pack) for pack in self._open]
        self._begin(1)
        return finished

    @override
    def state(self) -> dict[str, Any]:
        return {"open": [plain(pack) for pack in self._open]}

    @override
    def load(self, state: dict[str, Any]) -> None:
        packs = state["open"]
        self._begin(1 << len(packs).bit_length())
        for number, pack in enumerate(packs):
            for piece in pieces(pack):
                self._put(number, piece)
