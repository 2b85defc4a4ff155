"""Laws of packed batches: there and back, groups, losses that do not see the packing, resuming."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, pairwise, product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from danlu.backbones.transformer import Transformer, transformer_block
from danlu.contracts import Batch, Losses, Progress, SequenceContext
from danlu.data.packing import PACKERS, Documents, PackedBatch, PackedStream
from danlu.data.packing.padded import from_padded, to_padded
from danlu.data.packing.patches import pack_patches, unpack_patches
from danlu.laws.data.packers import lengths_of
from danlu.laws.draws import generator, seed
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Case, Law, Rows, law_of_cases, table
from danlu.laws.mixers.sequences import made
from danlu.layers.groups import Groups, grouped
from danlu.layers.packing import boundaries, pack, padded_rows, restore, unpack
from danlu.positions.rotary import Rotary

VOCABULARY = 11
LENGTHS = (5, 0, 1, 3, 3, 8, 2)


class Language(nn.Module):
    """A tiny language model with the loss that the trainer calls."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = made(lambda: Transformer(8, 1, transformer_block(2, position=Rotary(4))))
        source = generator(1)
        table = torch.randn(VOCABULARY, 8, generator=source, dtype=torch.float64)
        self.table = nn.Parameter(table)

    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        """The mean over the targets of the batch."""
        assert isinstance(batch, PackedBatch)
        y, _ = self.stack(self.table[batch.x], batch.context)
        index, wanted = batch.targets()
        logits = y[0, index] @ self.table.T
        total = cross_entropy(logits, wanted, reduction="sum") / max(len(index), 1)
        return Losses.of(nats_per_token=total)

    def of_document(self, ids: Tensor) -> Tensor:
        """The sum over the targets of one document, by itself."""
        if len(ids) < 2:
            return self.table.sum() * 0
        y, _ = self.stack(self.table[ids[None, :-1]])
        return cross_entropy(y[0] @ self.table.T, ids[1:], reduction="sum")


def ids_of(lengths: Iterable[int]) -> list[Tensor]:
    """Seeded documents of ids."""
    source = generator(3)
    return [torch.randint(VOCABULARY, (length,), generator=source) for length in lengths]


def _there_and_back() -> float:
    ends = boundaries(LENGTHS)
    x = torch.randn(1, sum(LENGTHS), 3, generator=generator())
    token, valid = padded_rows(ends)
    rows = unpack(x, token, valid)
    worst = gap(pack(rows, valid), x) + gap(restore(x, valid), rows)
    junk = rows + 7.0 * ~valid[..., None]
    return worst + gap(unpack(pack(junk, valid), token, valid), rows)


def _left_padding() -> float:
    source = generator(2)
    valid = torch.rand(4, 9, generator=source) < 0.5
    rows = torch.randn(4, 9, 2, generator=source) * valid[..., None]
    return gap(restore(pack(rows, valid), valid), rows)


def _converted() -> float:
    batch = PackedBatch.of(torch.cat(ids_of(LENGTHS))[None], LENGTHS)
    again = from_padded(to_padded(batch))
    worst = gap([again.x, again.cu_seqlens], [batch.x, batch.cu_seqlens])
    return worst + gap(list(again.targets()), list(batch.targets()))


def _groups() -> Iterable[Case]:
    """Groups keep every token in its place."""
    for stream, call in product(range(6), (0.0, 50.0, 1e9)):
        lengths = tuple(lengths_of(stream, 9))

        def error(lengths: tuple[int, ...] = lengths, call: float = call) -> float:
            groups = grouped(lengths, 1.0, 0.0, call)
            x = torch.arange(1, sum(lengths) + 1)
            rows = groups.take(x)
            wrong = gap(groups.put(rows), x)
            lost = sum(int(row.sum()) for row in rows) - int(x.sum())
            cells = sum(row.numel() for row in rows) - len(x)
            return wrong + abs(lost) + gap(cells, groups.padding)

        yield f"lengths {lengths}, a call costs {call:g}", error


def _cheapest() -> Iterable[Case]:
    """No cuts are cheaper by more than the slack."""
    for stream, call in product(range(8), (0.0, 20.0, 300.0)):
        lengths = tuple(lengths_of(stream, 8))

        def error(lengths: tuple[int, ...] = lengths, call: float = call) -> float:
            def cost(groups: Groups) -> float:
                longest = [max(lengths[d] for d in group) for group in groups.members]
                rows = zip(longest, groups.members, strict=True)
                return sum(call + len(group) * (3.0 * top + top**2) for top, group in rows)

            order = sorted(range(8), key=lambda d: -lengths[d])
            choices = []
            for inner in product((False, True), repeat=7):
                cuts = [0, *(place + 1 for place, cut in enumerate(inner) if cut), 8]
                parts = tuple(tuple(order[a:b]) for a, b in pairwise(cuts))
                choices.append(cost(Groups(lengths, parts)))
            found = cost(grouped(lengths, 3.0, 1.0, call))
            return largest(0.0, found - 1.1 * min(choices))

        yield f"lengths {lengths}, a call costs {call:g}", error


def _streams(packs: int = 3) -> Iterator[tuple[str, Callable[[], PackedStream]]]:
    documents = Documents.of(ids_of([max(each, 1) for each in lengths_of(4, 30)]))
    for name, method in PACKERS.items():
        build = method.build
        yield name, lambda b=build: PackedStream(documents, b(), packs=packs, seed=seed())


def _by_packing() -> Iterable[Case]:
    """Loss and gradients do not see the packing."""
    documents, model = ids_of(LENGTHS), Language()
    parts = [model.of_document(ids) for ids in documents]
    count = sum(max(length - 1, 0) for length in LENGTHS)
    expected = _with_slopes(model, sum(parts, torch.zeros(())) / count)
    flat = Documents.of(documents)
    for name, method in PACKERS.items():
        if method.build().cuts:
            continue

        def error(build: Callable[[], Any] = method.build) -> float:
            total = torch.zeros(())
            for packed in build().packs(flat.lengths):
                lengths = tuple(stop - start for _, start, stop in packed)
                batch = PackedBatch.of(flat.read([packed]), lengths)
                total = total + model.loss(batch, "", START).total * batch.count / count
            return gap(_with_slopes(model, total), expected)

        yield name, error


def _by_parts() -> Iterable[Case]:
    """Nor micro-batches and processes."""
    model = Language()
    whole = PackedBatch.of(torch.cat(ids_of(LENGTHS))[None], LENGTHS)
    expected = _with_slopes(model, model.loss(whole, "", START).total)
    for parts in (2, 3, 20):

        def error(parts: int = parts) -> float:
            return gap(_with_slopes(model, _weighted(model, whole.split(parts))), expected)

        yield f"{parts} micro-batches", error
    for (name, one), world in product(_streams(), (2, 3)):

        def shared(one: Callable[[], PackedStream] = one, world: int = world) -> float:
            batch = next(one())
            parts = []
            for rank in range(world):
                stream = one()
                stream.shard = (rank, world)
                parts += next(stream).split(2)
            expected = _with_slopes(model, model.loss(batch, "", START).total)
            return gap(_with_slopes(model, _weighted(model, parts)), expected)

        yield f"{world} processes, {name}", shared


START = Progress(step=0, fraction=0.0, seed=0)


def _weighted(model: Language, parts: Iterable[PackedBatch]) -> Tensor:
    losses = [model.loss(part, "", START).total * part.rows.share for part in parts]
    return torch.stack(losses).sum()


def _with_slopes(model: Language, loss: Tensor) -> list[Tensor]:
    weights = list(model.parameters())
    return [loss.detach(), *torch.autograd.grad(loss, weights, allow_unused=False)]


def _resumed() -> Iterable[Case]:
    """A saved stream goes on alike."""
    for name, one in _streams():

        def error(one: Callable[[], PackedStream] = one) -> float:
            straight, stream, worst = one(), one(), 0.0
            for _ in range(20):
                state = json.loads(json.dumps(stream.state()))
                stream = one()
                stream.load(state)
                ours, theirs = next(stream), next(straight)
                worst = largest(
                    worst, gap([ours.x, ours.cu_seqlens], [theirs.x, theirs.cu_seqlens])
                )
            return worst + gap(stream.position, straight.position)

        yield name, error


def _sought() -> Iterable[Case]:
    """A position is the whole state."""
    for name, one in _streams():

        def error(one: Callable[[], PackedStream] = one) -> float:
            straight, stream, worst = one(), one(), 0.0
            wanted = [next(straight) for _ in range(12)]
            for step in (5, 11, 2, 0):
                stream.seek(step * stream.packs)
                parts = [next(stream.sharded(rank, 2)) for rank in range(2)]
                found = next(stream)
                tokens = torch.cat([part.x for part in parts], dim=1)
                worst = largest(worst, gap([found.x, tokens], [wanted[step].x] * 2))
            return worst + gap(stream.position, stream.packs)

        yield name, error


def _patches() -> float:
    source = generator()
    sizes = ((4, 6), (2, 2), (8, 2))
    images = [torch.randn(3, *size, generator=source) for size in sizes]
    return gap(unpack_patches(pack_patches(images, 2), 2), images)


def _images_apart() -> float:
    """Packed images do not see one another."""
    source = generator()
    sizes = ((4, 6), (2, 2), (8, 2))
    images = [torch.randn(2, *size, generator=source) for size in sizes]
    stack = made(lambda: Transformer(8, 2, transformer_block(2, causal=False)))
    batch = pack_patches(images, 2)
    found, _ = stack(batch.x, batch.context)
    alone = [stack(pack_patches([image], 2).x, SequenceContext())[0] for image in images]
    return gap(found, torch.cat(alone, dim=1))


def _positions() -> float:
    batch = PackedBatch.of(torch.zeros(1, sum(LENGTHS)), LENGTHS)
    starts = torch.tensor([0, *accumulate(LENGTHS)])[:-1].repeat_interleave(torch.tensor(LENGTHS))
    return gap(batch.place[0], torch.arange(sum(LENGTHS)) - starts)


_LAWS: Rows = {
    "self-consistency": [
        ("packing/there-and-back", "packing and padding undo each other", 0.0, _there_and_back),
        ("packing/restore", "tokens return to any cells of a mask", 0.0, _left_padding),
        ("packing/converters", "a padded batch and back is the batch", 0.0, _converted),
        ("packing/patches", "images of several sizes come back", 0.0, _patches),
        ("packing/images", 1e-12, _images_apart),
    ],
    "closed form": [
        ("packing/positions", "positions begin anew in each document", 0.0, _positions),
    ],
}

_CASES: Rows = {
    "contract": [
        ("packing/groups", 0.0, _groups),
        ("packing/stream", 0.0, _resumed),
        ("packing/seek", 0.0, _sought),
    ],
    "enumeration": [
        ("packing/groups-cheapest", 1e-9, _cheapest),
    ],
    "self-consistency": [
        ("packing/loss", 1e-12, _by_packing),
        ("packing/parts", 1e-12, _by_parts),
    ],
}

LAWS: list[Law] = [
    *table(_LAWS),
    *table(_CASES, law_of_cases),
]
