"""Ways of doing the same thing, timed in turns in one process.

In a round each way runs once, or as often as the clock needs to see it, and the next round begins
with another one. A figure is the median of the rounds, and a ratio the median of the ratios within
each round, so that a machine whose speed drifts favours nobody.
"""

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from danlu_bench.packing import operations

Way = Callable[[], object]

ROUNDS = (3, 25)
"""The fewest and the most rounds, unless given."""
SECONDS = 4.0
"""What all ways of one comparison may take together, beyond the fewest rounds."""
LONG = 0.5
"""Seconds of a run beside which what the first one pays is nothing."""
LEAST = 0.02
"""Seconds that a way runs in a round; what is quicker is repeated."""
LARGE = 1024
"""Size of the product whose rate is the machine's."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each way, one figure a round."""

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """Seconds of one run."""
        return statistics.median(self.seconds[name])

    def ratio(self, slow: str, quick: str) -> float:
        """How many times as long the first takes as the second."""
        rounds = zip(self.seconds[slow], self.seconds[quick], strict=True)
        return statistics.median(a / b for a, b in rounds)


def clock() -> float:
    """Seconds on the wall; with one thread those of the process, which others cannot stretch."""
    return process_time() if torch.get_num_threads() == 1 else perf_counter()


def in_turns(ways: Mapping[str, Way], *, rounds: tuple[int, int] | None = None) -> Times:
    """Run all ways in turns, `rounds` at least and at most; each runs beforehand."""
    repeats, took = {}, 0.0
    for name, way in ways.items():
        once = _seconds(way)
        if once < LONG:  # the first run paid for what is made once
            once = _seconds(way)
        repeats[name] = max(1, math.ceil(LEAST / once))
        took += once * repeats[name]
    names, seconds = list(ways), {name: [] for name in ways}
    fewest, most = rounds or ROUNDS
    for index in range(max(fewest, min(most, int(SECONDS / took)))):
        first = index % len(names)
        for name in names[first:] + names[:first]:
            began = clock()
            for _ in range(repeats[name]):
                ways[name]()
            seconds[name].append((clock() - began) / repeats[name])
    return Times(seconds)


def _seconds(way: Way) -> float:
    began = clock()
    way()
    return max(clock() - began, 1e-9)


def share_of_products(way: Way, seconds: float, dtype: torch.dtype) -> float:
    """The part of these seconds that the matrix products of a way need at the rate of a large one.

    What is left is spent on passes over memory, on small products and on calls.
    """
    a = torch.randn(LARGE, LARGE, dtype=dtype)
    fastest = min(_seconds(lambda: a @ a) for _ in range(5))
    return operations(way) / (2 * LARGE**3 / fastest) / seconds


def costliest(way: Way, most: int = 6) -> list[tuple[str, float]]:
    """The operations in which a way spends its time, with their shares."""
    way()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        way()
    events: Any = profiler.key_averages()
    spent = {event.key: event.self_cpu_time_total for event in events}
    total = max(sum(spent.values()), 1e-9)
    order = sorted(spent, key=lambda name: -spent[name])
    return [(name, spent[name] / total) for name in order[:most]]
