"""Every benchmark by name: those of the library's parts, and those of the applications."""

from collections.abc import Callable, Mapping
from typing import Any

from danlu.applications.words import benchmark as words
from danlu.contracts import DanluError
from danlu.experiments.benchmarks import BENCHMARKS as PARTS
from danlu.experiments.benchmarks import Benchmark


def training(report: Callable[[str], None]) -> dict[str, Any]:
    """What training costs, and word vectors by counting beside gensim's by prediction."""
    figures = PARTS["training"](report)
    try:
        found, _ = words.compared(words.ROWS[:1], report)
    except DanluError as missing:
        report(f"word vectors are left out: {missing}")
        return figures
    return {**figures, "words": found, "holds": figures["holds"] and found["holds"]}


BENCHMARKS: Mapping[str, Benchmark] = {**PARTS, "training": training, "words": words.run}
