"""Packed documents beside padded rows: time and work of a training step, and how full packs are.

A step is embedding, stack, logits, loss and backward pass of the same documents, packed and as
padded rows. The rows have the padding on the right and no mask, which causal layers do not need:
the strongest form of padding. Times are the least CPU seconds of rounds in which both take turns.
Work is what torch counts as floating-point operations, against each document by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import process_time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from danlu.backbones.transformer import Transformer, feed_forward_layer
from danlu.contracts import SequenceContext
from danlu.data.packing import PackedBatch
from danlu.data.packing.packer import fewest_packs, fill_of
from danlu.data.packing.padded import to_padded
from danlu.data.packing.window import WindowBestFit
from danlu.laws.data.packers import lognormal
from danlu.mixers import MIXERS

DIM, DEPTH, CLASSES, DOCUMENTS, LONGEST, ROUNDS = 256, 4, 1024, 16, 512, 3
PACKED, CAPACITY = 1_000_000, 2048
STACKS = ("softmax", "mamba2", "gau")
WITH_FEED_FORWARD = ("softmax",)
LEAST_SHARE, SPARSE, MOST_LOSS, LEAST_FILL, MOST_SECONDS = 0.85, 0.65, 0.10, 0.99, 5.0

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Case:
    """Documents of a batch."""

    name: str
    lengths: tuple[int, ...]

    @property
    def fill(self) -> float:
        """Share of padded rows that holds tokens."""
        return sum(self.lengths) / (len(self.lengths) * max(self.lengths))


def run(report: Report) -> dict[str, Any]:
    """Measure on this machine; `holds` says whether speed, work and fill keep their promises."""
    packer = _packer()
    report(
        f"packer: fill {packer['fill']:.4f} of {packer['packs']} packs (at least "
        f"{packer['fewest']} are needed), {packer['seconds']:.2f} s for {PACKED} documents"
    )
    full = packer["fill"] >= LEAST_FILL and packer["seconds"] <= MOST_SECONDS
    rows = []
    for name in STACKS:
        for case in cases():
            row = {"stack": name, "lengths": case.name, "fill": case.fill, **_compare(name, case)}
            rows.append(row)
            report(
                f"{name:<8} {case.name:<10} fill {case.fill:.2f}: {row['speed']:.2f} times as fast "
                f"(1/fill {1 / case.fill:.2f}), work on padding {row['padding']:.2%} "
                f"(rows {row['padding_of_rows']:.0%})"
            )
    return {"packer": packer, "rows": rows, "holds": full and all(map(_holds, rows))}


def cases() -> list[Case]:
    """Equal, uniform and lognormal lengths."""
    generator = torch.Generator().manual_seed(0)
    uniform = torch.randint(LONGEST // 8, LONGEST + 1, (DOCUMENTS,), generator=generator)
    source = torch.Generator().manual_seed(0)
    heavy = lognormal(source, DOCUMENTS - 1, mean=4.6, sigma=0.8, longest=LONGEST)
    return [
        Case("equal", (LONGEST,) * DOCUMENTS),
        Case("uniform", (*uniform[1:].tolist(), LONGEST)),
        Case("lognormal", (*heavy, LONGEST)),
    ]


def _holds(row: dict[str, Any]) -> bool:
    quick = row["speed"] >= LEAST_SHARE / row["fill"] if row["fill"] <= SPARSE else True
    return quick and (row["fill"] < 1 or row["speed"] >= 1 - MOST_LOSS) and row["padding"] == 0


def _packer() -> dict[str, Any]:
    lengths = lognormal(torch.Generator().manual_seed(0), PACKED, longest=CAPACITY)
    began = process_time()
    packs = list(WindowBestFit(CAPACITY).packs(lengths))
    return {
        "seconds": process_time() - began,
        "fill": fill_of(packs, CAPACITY),
        "packs": len(packs),
        "fewest": fewest_packs(lengths, CAPACITY),
    }


class _Model(nn.Module):
    """Embedding, stack and logits."""

    def __init__(self, name: str) -> None:
        super().__init__()
        target = MIXERS[name].target
        block = [lambda dim, layer, depth: target(dim)]
        block += [feed_forward_layer()] if name in WITH_FEED_FORWARD else []
        self.embedding = nn.Embedding(CLASSES, DIM)
        self.stack = Transformer(DIM, DEPTH, block)
        self.logits = nn.Linear(DIM, CLASSES)

    def loss(self, ids: Tensor, labels: Tensor, context: SequenceContext) -> Tensor:
        """The mean over labels that are no -100."""
        y, _ = self.stack(self.embedding(ids), context)
        return cross_entropy(self.logits(y).flatten(0, 1), labels.flatten(), ignore_index=-100)


def _compare(name: str, case: Case) -> dict[str, float]:
    torch.manual_seed(0)
    model = _Model(name)
    batch = PackedBatch.of(torch.randint(CLASSES, (1, sum(case.lengths))), case.lengths)
    rows = to_padded(batch)

    def step(ids: Tensor, labels: Tensor, context: SequenceContext) -> None:
        model.loss(ids, labels, context).backward()
        model.zero_grad()

    def packed() -> None:
        step(batch.x, batch.x, batch.context)

    def padded() -> None:
        step(rows["input_ids"], rows["labels"], SequenceContext())

    def alone() -> None:
        for ids in batch.x.split(case.lengths, dim=1):
            step(ids, ids, SequenceContext())

    seconds: dict[Callable[[], None], list[float]] = {packed: [], padded: []}
    for _ in range(ROUNDS):
        for way, found in seconds.items():
            began = process_time()
            way()
            found.append(process_time() - began)
    needed = operations(alone)
    return {
        "speed": min(seconds[padded]) / min(seconds[packed]),
        "padding": operations(packed) / needed - 1,
        "padding_of_rows": operations(padded) / needed - 1,
    }


def operations(way: Callable[[], object]) -> int:
    """Floating-point operations, with attention as the matrix products that it is."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        way()
    return counter.get_total_flops()
