"""An endless stream of packed documents, in an order drawn from a seed, that resumes exactly.

Document number p of a run is entry `p mod n` of a permutation drawn from (seed, epoch), and goes to
the packer; each batch takes the next packs. Every process packs the lengths of all documents and
reads the tokens of its own packs alone, so that each knows how many targets the whole batch has.
The state is the number of documents given to the packer, what the packer holds, and the finished
packs that are not yet used: plain numbers. All of it is a function of the position as well, so the
trainer keeps that alone, and packs again, without reading a token, on the way to it.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from danlu.contracts import DanluError, DataDescription, Rows, derive_seed
from danlu.data.packing.batch import PackedBatch
from danlu.data.packing.documents import Documents
from danlu.data.packing.packer import Pack, Packer, pieces, plain


class PackedStream:
    """Batches of `packs` packs in all, of which this process gets its share in one row.

    Args:
        documents: what is packed.
        packer: with the capacity of a pack.
        packs: of a whole batch.
        seed: of the order.
        shard: (rank, world): which of how many even parts of each batch this process gets.
        description: of a row as long as a pack.

    Attributes:
        position: packs used so far over all processes.
    """

    def __init__(
        self,
        documents: Documents,
        packer: Packer,
        *,
        packs: int = 1,
        seed: int = 0,
        shard: tuple[int, int] = (0, 1),
        description: DataDescription | None = None,
    ) -> None:
        rank, world = shard
        if not 0 <= rank < world <= packs:
            raise DanluError(f"A batch of {packs} packs cannot give part {rank} of {world}.")
        if not any(documents.lengths):
            raise DanluError("All documents are empty.")
        self.documents, self.packer = documents, packer
        self.packs, self.seed, self.shard = packs, seed, shard
        self.description = description or DataDescription(
            shape=(packer.capacity,), levels=None, low=0.0, high=1.0
        )
        self._fresh = deepcopy(packer.state())
        self.position = 0
        self._given = 0
        self._ready: deque[Pack] = deque()
        self._orders: dict[int, list[int]] = {}

    def __iter__(self) -> "PackedStream":
        return self

    def __next__(self) -> PackedBatch:
        chosen = self._next_packs()
        rank, world = self.shard
        ends = [self.packs * k // world for k in (rank, rank + 1)]
        before, mine = chosen[: ends[0]], chosen[slice(*ends)]
        first, count, total = (_targets(packs) for packs in (before, mine, chosen))
        lengths = tuple(stop - start for pack in mine for _, start, stop in pack)
        batch = PackedBatch.of(self.documents.read(mine), lengths)
        return replace(batch, part=None if world == 1 else Rows(first, first + count, total))

    def state(self) -> dict[str, Any]:
        """Where the stream is, as plain numbers."""
        return {
            "position": self.position,
            "given": self._given,
            "ready": [plain(pack) for pack in self._ready],
            "packer": deepcopy(self.packer.state()),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state of a stream of the same documents, packer and seed."""
        self.position, self._given = state["position"], state["given"]
        self._ready = deque(tuple(pieces(pack)) for pack in state["ready"])
        self.packer.load(state["packer"])

    def seek(self, position: int) -> None:
        """Go to an exact pack, counted over all processes from the start of the run."""
        if position < 0 or position % self.packs:
            raise ValueError(f"batches of {self.packs} packs never begin at pack {position}")
        if position < self.position:
            self.load({"position": 0, "given": 0, "ready": [], "packer": deepcopy(self._fresh)})
        while self.position < position:
            self._next_packs()

    def once(self, batch: int) -> Iterator[PackedBatch]:
        """Every document once, `batch` at a time, in source order; moves no position."""
        lengths = self.documents.lengths
        for first in range(0, len(lengths), batch):
            chosen = range(first, min(first + batch, len(lengths)))
            pack = tuple((document, 0, lengths[document]) for document in chosen)
            yield PackedBatch.of(self.documents.read([pack]), tuple(lengths[d] for d in chosen))

    def sharded(self, rank: int, world: int) -> "PackedStream":
        """The same stream at the same position, giving only one of `world` parts of each batch."""
        stream = PackedStream(
            self.documents,
            deepcopy(self.packer),
            packs=self.packs,
            seed=self.seed,
            shard=(rank, world),
            description=self.description,
        )
        stream._fresh = deepcopy(self._fresh)
        stream.load(deepcopy(self.state()))
        return stream

    def replaced(
        self,
        x: Tensor,
        description: DataDescription,
        extra: Mapping[str, Tensor] | None = None,
    ) -> "PackedStream":
        """Codes in place of tokens: there are none.

        Raises:
            DanluError: always.
        """
        raise DanluError("Packed documents cannot be encoded by a stage; train on rows instead.")

    def _next_packs(self) -> list[Pack]:
        while len(self._ready) < self.packs:
            self._give()
        self.position += self.packs
        return [self._ready.popleft() for _ in range(self.packs)]

    def _give(self) -> None:
        """The next document to the packer; one that packs at the end gets whole epochs."""
        epoch, place = divmod(self._given, len(self.documents))
        document = self._order(epoch)[place]
        self._given += 1
        self._ready += self.packer.add(document, self.documents.lengths[document])
        if not self.packer.streams and place + 1 == len(self.documents):
            self._ready += self.packer.finish()

    def _order(self, epoch: int) -> list[int]:
        if epoch not in self._orders:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
            self._orders = {
                epoch: torch.randperm(len(self.documents), generator=generator).tolist()
            }
        return self._orders[epoch]


def _targets(packs: list[Pack]) -> int:
    return sum(max(stop - start - 1, 0) for pack in packs for _, start, stop in pack)
