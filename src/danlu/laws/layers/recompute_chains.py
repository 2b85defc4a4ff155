"""Laws of recomputed chains: blocks that return more than the state, costs by hand, cuts."""

import math
from itertools import pairwise
from time import perf_counter
from weakref import ref

import torch
from torch import Tensor, nn

from danlu.laws.draws import seeded
from danlu.laws.gaps import excess, gap, largest
from danlu.laws.law import Law, Rows, table
from danlu.laws.layers.recompute import costs_of, every_plan
from danlu.layers.recompute import (
    Cost,
    Segment,
    added_cost,
    least_memory,
    measure,
    peak,
    plan,
    recompute,
    save_products,
    uniform,
)

BATCH, NARROW, WIDE = 3, 4, 5


class Telling(nn.Module):
    """A map that returns its state first, then two things that it found on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(NARROW, NARROW)

    def forward(self, h: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The next state, its squares and its mean."""
        h = torch.tanh(self.map(h)) * scale
        return h, h.square(), h.mean(1)


def _told(blocks: list[Telling], x: Tensor, scale: Tensor) -> list[Tensor]:
    """The end of a chain, all that its blocks tell beside it, and gradients through both."""
    h, told = x, []
    for block in blocks:
        h, *more = block(h, scale)
        told += more
    total = h.sin().sum() + sum((part.sum() * (1 + i) for i, part in enumerate(told)))
    weights = [weight for block in blocks for weight in block.parameters()]
    slopes = torch.autograd.grad(total, weights)
    return [h.detach(), *(part.detach() for part in told), *slopes]


def tuples() -> float:
    """Blocks that return more than their state give all of it, with plain gradients."""
    with seeded():
        blocks = [Telling().double() for _ in range(4)]
        x, scale = torch.randn(BATCH, NARROW).double(), torch.tensor(0.7).double()
    plain, worst = _told(blocks, x, scale), 0.0
    for pieces in (1, 2, 4):
        for contexts in ({}, {"contexts": save_products}):
            with recompute(blocks, uniform(4, pieces), **contexts):
                worst = largest(worst, gap(_told(blocks, x, scale), plain))
    return worst


def let_go() -> float:
    """When a pass is over, no segment holds on to what its blocks returned."""
    with seeded():
        blocks = [Telling().double() for _ in range(4)]
        x, scale = torch.randn(BATCH, NARROW).double(), torch.tensor(0.7).double()
    alive = 0
    for pieces in (1, 2, 4):
        with recompute(blocks, uniform(4, pieces)):
            h, seen = x, []
            for block in blocks:
                told = block(h, scale)
                h, seen = told[0], [*seen, *(ref(part) for part in told)]
            del h, told
            alive += sum(part() is not None for part in seen)
    return float(alive)


class Waiting(nn.Module):
    """A map to another width and back, with what it keeps for backward known."""

    def __init__(self, rest: float) -> None:
        super().__init__()
        self.rise, self.fall = nn.Linear(NARROW, WIDE), nn.Linear(WIDE, NARROW, bias=False)
        self.fall.requires_grad_(False)
        self.rest = rest

    def forward(self, h: Tensor) -> Tensor:
        """Two rectified maps, after a rest."""
        began = perf_counter()
        while perf_counter() - began < self.rest:
            pass
        return self.fall(torch.tanh(self.rise(h))).sigmoid()


def bytes_by_hand() -> float:
    """Costs are the bytes of tensors counted by hand."""
    with seeded():
        blocks = [Waiting(0.0).double() for _ in range(2)]
        x = torch.randn(BATCH, NARROW).double()
    found = measure(blocks, lambda: blocks[1](blocks[0](x)).sum(), rounds=2)
    inside, edge = 8 * BATCH * WIDE, 8 * BATCH * NARROW
    slopes = 8 * (NARROW * WIDE + WIDE)  # of the weights that are trained
    each = [inside, edge, slopes, inside]
    return gap([[c.saved, c.boundary, c.gradients, c.work] for c in found], [each, each])


def seconds_of_blocks() -> float:
    """Seconds of blocks are no less than what they wait, no more than all took."""
    rests = (0.002, 0.004)
    blocks = [Waiting(rest).double() for rest in rests]
    x = torch.zeros(BATCH, NARROW, dtype=torch.float64)
    began = perf_counter()
    found = [cost.seconds for cost in measure(blocks, lambda: blocks[1](blocks[0](x)), rounds=1)]
    whole = perf_counter() - began
    return largest(excess(rests, tuple(found)), excess(math.fsum(found), whole))


def _within(cuts: tuple[int, ...], segments: list[Segment]) -> bool:
    """Whether no recomputed segment has a cut inside."""
    return not any(s.recompute and s.start < cut < s.stop for s in segments for cut in cuts)


def plans_with_cuts() -> float:
    """With cuts a plan is the best of all whose recomputed segments heed them."""
    worst = 0.0
    for stream, cuts in ((0, (2,)), (1, (1, 4)), (2, (3, 0, 6)), (3, (1, 2, 3, 4, 5))):
        costs = costs_of(stream, 6)
        allowed = [s for s in every_plan(6) if _within(cuts, s)]
        every = [(peak(costs, s), added_cost(costs, s)) for s in allowed]
        least = min(bytes_ for bytes_, _ in every)
        found = [least_memory(costs, cuts=cuts)]
        worst = largest(worst, gap(peak(costs, found[0]), least))
        budgets = [least, (least + max(bytes_ for bytes_, _ in every)) // 2]
        for memory in budgets:
            best = min(seconds for bytes_, seconds in every if bytes_ <= memory)
            found.append(plan(costs, float(memory), cuts=cuts))
            worst = largest(worst, gap(added_cost(costs, found[-1]), best))
        worst = largest(worst, float(not all(_within(cuts, segments) for segments in found)))
    return worst


def peaks() -> float:
    """The peak is what backward holds at its worst."""
    costs = [Cost(saved=5, boundary=2, gradients=7, work=3), Cost(saved=11, boundary=1, work=4)]
    costs.append(Cost(saved=1, boundary=6, gradients=13, work=9))
    kept = [(0, 1, False), (1, 2, False), (2, 3, False)]
    mixed, one = [(0, 2, True), (2, 3, False)], [(0, 3, True)]
    found = [peak(costs, [Segment(*row) for row in rows]) for rows in (kept, mixed, one)]
    # Backward at each segment: what is stored before, its inside and work, gradients behind.
    known = [
        (7 + 3 + 13, 7 + 12 + 4 + 13, 7 + 12 + 7 + 9),
        (7 + 12 + 4 + 13, 2 + 7 + 9),
        (7 + 12 + 7 + 9,),
    ]
    return gap(found, [max(row) for row in known])


def nearly_equal() -> float:
    """Segments are of nearly equal length."""
    worst = 0.0
    for n in range(1, 9):
        for pieces in range(1, n + 1):
            parts = uniform(n, pieces)
            edges = [parts[0].start, *(part.stop for part in parts)]
            joined = all(a.stop == b.start for a, b in pairwise(parts))
            sizes = [part.stop - part.start for part in parts]
            uneven = max(sizes) - min(sizes) > 1 or not all(part.recompute for part in parts)
            found = [edges[0], edges[-1], len(parts), joined, uneven]
            worst = largest(worst, gap(found, [0, n, pieces, True, False]))
    return worst


_LAWS: Rows = {
    "definition": [
        ("recompute/tuples", 0.0, tuples),
        ("recompute/peak", 0.0, peaks),
    ],
    "enumeration": [
        ("recompute/bytes", 0.0, bytes_by_hand),
        ("recompute/cuts", 1e-9, plans_with_cuts),
        ("recompute/uniform", 0.0, nearly_equal),
    ],
    "contract": [
        ("recompute/let-go", 0.0, let_go),
        ("recompute/seconds", 0.0, seconds_of_blocks),
    ],
}

LAWS: list[Law] = table(_LAWS)
