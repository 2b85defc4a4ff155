"""Benchmarks and studies by name: each is called with a function that takes progress lines.

It gives its figures as plain data for JSON; `lines` among them is what a person reads.
"""

from collections.abc import Callable, Mapping
from typing import Any

from danlu_bench import (
    amos,
    crossing,
    device,
    diffusion,
    diffusion_distance,
    fashion,
    fashion_solvers,
    fewer_steps,
    loop,
    memory,
    mixers,
    multilabel,
    occurrence,
    packing,
    solvers,
    training,
)
from danlu_bench.studies import STUDIES
from danlu_bench.words import benchmark as words

Benchmark = Callable[..., dict[str, Any]]


def counted(report: Callable[[str], None]) -> dict[str, Any]:
    """Word vectors by counting beside gensim's by prediction."""
    return words.compared(words.ROWS[:1], report)[0]


def trained(report: Callable[[str], None], **settings: Any) -> dict[str, Any]:
    """Recomputing, packing, optimisers and word vectors: what training promises, on one page."""
    return training.run(report, words=counted, **settings)


BENCHMARKS: Mapping[str, Benchmark] = {
    "loop": loop.run,
    "fashion-mnist": fashion.run,
    "fashion-solvers": fashion_solvers.run,
    "fewer-steps": fewer_steps.run,
    "amos": amos.run,
    "multilabel": multilabel.run,
    "word-occurrence": occurrence.run,
    "memory": memory.run,
    "mixers": mixers.run,
    "packing": packing.run,
    "solvers": solvers.run,
    "crossing": crossing.run,
    "device": device.run,
    "diffusion": diffusion.run,
    "diffusion-distance": diffusion_distance.run,
    "diffusion-compiled": diffusion.run_compiled,
    **STUDIES,
    "training": trained,
    "words": words.run,
}
