"""Benchmarks by name: each is called with a function that takes progress lines, and gives figures.

Figures are plain data for JSON; `lines` among them is what a person reads.
"""

from collections.abc import Callable, Mapping
from typing import Any

from danlu.experiments.benchmarks import (
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

Benchmark = Callable[..., dict[str, Any]]

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
    "training": training.run,
}
