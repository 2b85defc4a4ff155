"""Every benchmark by name: the library's parts, studies of articles, and the applications."""

from collections.abc import Callable, Mapping
from typing import Any

from danlu.applications.words import benchmark as words
from danlu.experiments.benchmarks import BENCHMARKS as PARTS
from danlu.experiments.benchmarks import Benchmark
from danlu.experiments.studies import STUDIES


def counted(report: Callable[[str], None]) -> dict[str, Any]:
    """Word vectors by counting beside gensim's by prediction."""
    return words.compared(words.ROWS[:1], report)[0]


def training(report: Callable[[str], None], **settings: Any) -> dict[str, Any]:
    """Recomputing, packing, optimisers and word vectors: what training promises, on one page."""
    return PARTS["training"](report, words=counted, **settings)


BENCHMARKS: Mapping[str, Benchmark] = {
    **PARTS,
    **STUDIES,
    "training": training,
    "words": words.run,
}
