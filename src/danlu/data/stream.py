"""An endless stream of batches that shards over processes and resumes at the exact example.

Example number p of a run (counted over all processes and epochs) is entry `p mod n` of a
permutation drawn from (seed, epoch = p div n), so `position` is the whole state: batch sizes,
processes and restarts cannot change what is seen or in which order. A flip is drawn from
(seed, epoch, index), so that an example is seen both ways in different epochs.
"""

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from danlu.contracts import Batch, DanluError, DataDescription, Rows, derive_seed
from danlu.data.source import Examples


class ExampleStream:
    """Batches of `batch` examples in all, of which this process gets its shard.

    Attributes:
        description: of the examples.
        batch: size of the global batch.
        seed: of order and flips.
        flips: whether images are mirrored left to right half of the time.
        shard: (rank, world): which of how many even parts of each batch this process gets.
        position: examples consumed so far over all processes.
    """

    def __init__(
        self,
        examples: Examples,
        description: DataDescription,
        *,
        batch: int,
        seed: int,
        flips: bool = False,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        if len(examples) == 0:
            raise DanluError("A stream needs at least one example.")
        _check_shard(batch, *shard)
        if flips and not description.is_image:
            raise DanluError("Flips are for images; this data has no left and right.")
        if flips and examples.extra:
            raise DanluError(
                f"Flips mirror images alone, and these have {sorted(examples.extra)} beside them: "
                "train without flips."
            )
        self.examples = examples
        self.description = description
        self.batch = batch
        self.seed = seed
        self.flips = flips
        self.shard = shard
        self.position = 0
        self._orders: dict[int, Tensor] = {}
        self._mirrors: dict[int, Tensor] = {}

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        rank, world = self.shard
        first, last = (self.batch * k // world for k in (rank, rank + 1))
        parts = list(self._by_epoch(self.position + first, self.position + last))
        self.position += self.batch
        index = torch.cat([part for _, part in parts])
        batch = self.examples.batch(index)
        if self.flips:
            mirrored = torch.cat([self._mirrored(epoch)[part] for epoch, part in parts])
            x = torch.where(mirrored[:, None, None, None], batch.x.flip(-1), batch.x)
            batch = replace(batch, x=x)
        return batch if world == 1 else replace(batch, part=Rows(first, last, self.batch))

    def seek(self, position: int) -> None:
        """Go to an exact example, counted over all processes from the start of the run."""
        if position < 0:
            raise ValueError(f"a position counts examples from 0, got {position}")
        self.position = position

    def once(self, batch: int) -> Iterator[Batch]:
        """Every example once, in source order, without flips or shards; moves no position."""
        for index in torch.arange(len(self.examples)).split(batch):
            yield self.examples.batch(index)

    def sharded(self, rank: int, world: int) -> "ExampleStream":
        """The same stream at the same position, giving only one of `world` parts of each batch."""
        _check_shard(self.batch, rank, world)
        stream = copy(self)
        stream.shard = (rank, world)
        return stream

    def replaced(
        self,
        x: Tensor,
        description: DataDescription,
        extra: Mapping[str, Tensor] | None = None,
    ) -> "ExampleStream":
        """The same order, position, classes and extras over other values, without flips.

        Values in another number than the examples get the classes and extras of examples evenly
        spread over the source, and an order of their own.
        """
        owner = torch.arange(len(x)) * len(self.examples) // max(len(x), 1)
        extra = {**self.examples.extras(owner), **(extra or {})}
        stream = ExampleStream(
            Examples(x, self.examples.told(owner), description, extra=extra),
            description,
            batch=self.batch,
            seed=self.seed,
            shard=self.shard,
        )
        stream.seek(self.position)
        return stream

    def _by_epoch(self, first: int, last: int) -> Iterator[tuple[int, Int[Tensor, " part"]]]:
        n = len(self.examples)
        while first < last:
            epoch, start = divmod(first, n)
            part = self._order(epoch)[start : start + last - first]
            first += len(part)
            yield epoch, part

    def _order(self, epoch: int) -> Int[Tensor, " n"]:
        if epoch not in self._orders:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
            self._orders = {epoch: torch.randperm(len(self.examples), generator=generator)}
        return self._orders[epoch]

    def _mirrored(self, epoch: int) -> Tensor:
        """For every source index, whether it is flipped in this epoch."""
        if epoch not in self._mirrors:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "flip", epoch))
            bits = torch.randint(2, (len(self.examples),), generator=generator)
            self._mirrors = {epoch: bits.bool()}
        return self._mirrors[epoch]


def _check_shard(batch: int, rank: int, world: int) -> None:
    """Every process needs an example of each batch."""
    if not 0 <= rank < world <= batch:
        raise DanluError(
            f"A batch of {batch} cannot give part {rank} of {world}: "
            "the batch must hold at least one example for each process."
        )
