"""Every benchmark by name: those of the library's parts, and those of the applications."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from danlu.applications.words import benchmark as words
from danlu.experiments.benchmarks import BENCHMARKS as PARTS
from danlu.experiments.benchmarks import Benchmark


def counted(report: Callable[[str], None]) -> dict[str, Any]:
    """Word vectors by counting beside gensim's by prediction."""
    return words.compared(words.ROWS[:1], report)[0]


BENCHMARKS: Mapping[str, Benchmark] = {
    **PARTS,
    "training": partial(PARTS["training"], words=counted),
    "words": words.run,
}
