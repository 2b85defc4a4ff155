r"""Choose what to recompute: the least time within a memory budget, or the least memory.

A chain is cut into segments; each is kept whole or keeps its input alone. With $b_i$ the bytes of
block $i$'s input and $a_i$ those it saves beside, a kept segment stores $\sum (a_i + b_i)$ and a
recomputed one $b_\text{first}$. When backward reaches segment $j$, the segments before it are
stored, the inside of $j$ is there in full, and so are the gradients $g$ of the parameters after
$j$, so the peak is

$$\max_j \Big( \sum_{i<j} \text{stored}_i + \sum_{i \in j} (a_i + b_i) + \sum_{i > j} g_i
+ \max_{i \in j} w_i \Big)$$

with $w$ the largest gradient inside a block; the time added is the forward time of what is
recomputed. The search is exact: it keeps, for each cut, every pair (stored, added time) that no
other pair beats.

The square-root rule is the case $a = b$ of uniform segments: with $k$ of them the peak is
$k b + (n/k)\,a$, least at $k = \sqrt{n a / b}$, at most $n$. In a transformer $a$ is many times $b$
and every block its own segment is best.

Sources: arXiv:1604.06174 (uniform segments), arXiv:1911.13214 (heterogeneous chains).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from danlu.contracts import DanluError
from danlu.layers.recompute.costs import Cost


@dataclass(frozen=True, slots=True)
class Segment:
    """Blocks `start` to `stop - 1`; recomputed in backward, or kept."""

    start: int
    stop: int
    recompute: bool


def save_all(blocks: int) -> list[Segment]:
    """Nothing is recomputed."""
    return [Segment(index, index + 1, False) for index in range(blocks)]


def uniform(blocks: int, segments: int) -> list[Segment]:
    """Recomputed segments of nearly equal length.

    Raises:
        ValueError: there are not so many blocks.
    """
    if not 1 <= segments <= blocks:
        raise DanluError(f"{blocks} blocks make 1 to {blocks} segments, not {segments}.")
    edges = [round(blocks * index / segments) for index in range(segments + 1)]
    return [Segment(a, b, True) for a, b in pairwise(edges)]


def peak(costs: Sequence[Cost], segments: Sequence[Segment]) -> int:
    """Bytes at the worst moment of backward, what is outside the chain left out."""
    stored, worst = 0, 0
    for segment in segments:
        part = costs[segment.start : segment.stop]
        inside = sum(cost.saved + cost.boundary for cost in part)
        work = max(cost.work for cost in part)
        worst = max(worst, stored + inside + work + _gradients(costs, segment.stop))
        stored += part[0].boundary if segment.recompute else inside
    return worst


def added_cost(costs: Sequence[Cost], segments: Sequence[Segment]) -> float:
    """Seconds that recomputing adds."""
    inner = (costs[s.start : s.stop] for s in segments if s.recompute)
    return sum((cost.seconds for part in inner for cost in part), 0.0)


def plan(
    costs: Sequence[Cost], memory: float, *, cuts: Sequence[int] | None = None
) -> list[Segment]:
    """The segments that add the least time within `memory` bytes.

    Args:
        costs: of the chain's blocks.
        memory: the largest allowed peak.
        cuts: where a recomputed segment may start and stop, 0 and the end included; everywhere
            by default. A model that uses the state between two blocks needs a cut there.

    Raises:
        ValueError: not even the smallest plan fits.
    """
    found = _search(costs, memory, _allowed(costs, cuts))
    if found is None:
        least = peak(costs, least_memory(costs, cuts=cuts))
        raise DanluError(
            f"the blocks need {least / 2**20:.1f} MiB at least, {memory / 2**20:.1f} MiB are "
            "given; use a smaller batch or a larger budget."
        )
    return found


def least_memory(costs: Sequence[Cost], *, cuts: Sequence[int] | None = None) -> list[Segment]:
    """The segments with the smallest peak; among those, the least time."""
    allowed = _allowed(costs, cuts)
    low, high = 0, peak(costs, save_all(len(costs)))
    while low < high:
        middle = (low + high) // 2
        if _search(costs, float(middle), allowed) is None:
            low = middle + 1
        else:
            high = middle
    found = _search(costs, float(low), allowed)
    assert found is not None
    return found


def _gradients(costs: Sequence[Cost], start: int) -> int:
    return sum(cost.gradients for cost in costs[start:])


def _allowed(costs: Sequence[Cost], cuts: Sequence[int] | None) -> set[tuple[int, int]]:
    """Pairs (start, stop) that may be one recomputed segment."""
    n = len(costs)
    if cuts is None:
        return {(i, j) for i in range(n) for j in range(i + 1, n + 1)}
    edges = sorted({0, n, *cuts})
    inner = pairwise(edges)
    return {(i, j) for a, b in inner for i in range(a, b) for j in range(i + 1, b + 1)}


@dataclass(slots=True)
class _State:
    """A way to treat the blocks before a cut."""

    stored: int
    seconds: float
    last: Segment | None
    before: "_State | None"


def _search(
    costs: Sequence[Cost], memory: float, allowed: set[tuple[int, int]]
) -> list[Segment] | None:
    n = len(costs)
    frontiers: list[list[_State]] = [[] for _ in range(n + 1)]
    frontiers[0] = [_State(0, 0.0, None, None)]
    for start in range(n):
        frontiers[start] = _undominated(frontiers[start])
        for state in frontiers[start]:
            _extend(state, start, costs, memory, allowed, frontiers)
    ends = frontiers[n]
    if not ends:
        return None
    return _path(min(ends, key=lambda state: (state.seconds, state.stored)))


def _extend(
    state: _State,
    start: int,
    costs: Sequence[Cost],
    memory: float,
    allowed: set[tuple[int, int]],
    frontiers: list[list[_State]],
) -> None:
    inside, work, seconds = state.stored, 0, state.seconds
    for stop in range(start + 1, len(costs) + 1):
        cost = costs[stop - 1]
        inside += cost.saved + cost.boundary
        work = max(work, cost.work)
        seconds += cost.seconds
        if (start, stop) not in allowed:
            return
        if inside + work + _gradients(costs, stop) > memory:
            continue
        if stop == start + 1:
            kept = state.stored + cost.saved + cost.boundary
            frontiers[stop].append(_State(kept, state.seconds, Segment(start, stop, False), state))
        stored = state.stored + costs[start].boundary
        frontiers[stop].append(_State(stored, seconds, Segment(start, stop, True), state))


def _undominated(states: list[_State]) -> list[_State]:
    kept: list[_State] = []
    for state in sorted(states, key=lambda state: (state.stored, state.seconds)):
        if not kept or state.seconds < kept[-1].seconds:
            kept.append(state)
    return kept


def _path(state: _State) -> list[Segment]:
    segments: list[Segment] = []
    while state.before is not None:
        assert state.last is not None
        segments.append(state.last)
        state = state.before
    return segments[::-1]
