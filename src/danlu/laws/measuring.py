"""Measuring laws: one after the other or in several processes, at one or many seeds."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import torch

from danlu.contracts.workers import workers
from danlu.laws.draws import drawing_for
from danlu.laws.law import Law, attempted
from danlu.training.policy import available_threads


@dataclass(frozen=True, slots=True)
class Checked:
    """A law with the largest error over its seeds, and the smallest example that fails."""

    law: Law
    error: float
    seconds: float
    example: str = ""
    seed: int = 0

    @property
    def holds(self) -> bool:
        """Whether the error is within the tolerance; NaN never is."""
        return bool(self.error <= self.law.tolerance)


def measured(rows: list[Law], seeds: int = 1) -> Iterator[Checked]:
    """Measure laws one after the other, in float64, each with the draws of its own name.

    Args:
        rows: the laws.
        seeds: how many times each is measured, with other draws; the worst is told.
    """
    before = torch.get_default_dtype()
    for law in rows:
        torch.set_default_dtype(torch.float64)
        began = perf_counter()
        try:
            error, later, example = max(_at(law, seed) for seed in range(seeds))
            if law.example is not None and not error <= law.tolerance:
                with drawing_for(law.name, -later):
                    example = law.example()
        finally:
            torch.set_default_dtype(before)
        yield Checked(law, error, perf_counter() - began, example, -later)


def _at(law: Law, seed: int) -> tuple[float, int, str]:
    with drawing_for(law.name, seed):
        error, why = attempted(law.measure)
    return error, -seed, why  # of equal errors the largest is that of the first seed


def measured_together(rows: list[Law], seeds: int = 1) -> Iterator[Checked]:
    """Measure laws of the library, one process for each core; they come in their order.

    Args:
        rows: of `laws()`; each process knows them by name.
        seeds: as for `measured`.
    """
    by_name = {law.name: law for law in rows}
    with workers(available_threads(), torch.set_num_threads, (1,)) as pool:
        alone = partial(_measured_alone, seeds=seeds)
        for name, error, seconds, example, seed in pool.map(alone, by_name, chunksize=8):
            yield Checked(by_name[name], error, seconds, example, seed)


def _measured_alone(name: str, seeds: int) -> tuple[str, float, float, str, int]:
    from danlu.laws import LAWS  # the whole library, which imports this file

    (checked,) = measured([law for law in LAWS if law.name == name], seeds)
    # Without the law, whose functions cannot be sent to another process.
    return name, checked.error, checked.seconds, checked.example, checked.seed
