"""Every benchmark by name: those of the library's parts, and those of the applications."""

from collections.abc import Mapping

from danlu.applications.words import benchmark as words
from danlu.experiments.benchmarks import BENCHMARKS as PARTS
from danlu.experiments.benchmarks import Benchmark

BENCHMARKS: Mapping[str, Benchmark] = {**PARTS, "words": words.run}
