"""Laws of flow maps in use: what is handed out, what a draw costs, guided targets, end laws."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from danlu.contracts import Classes, Condition, DataDescription, Told
from danlu.generative.diffusion.consistency import build as build_consistency
from danlu.generative.diffusion.distilled import build as build_distilled
from danlu.generative.diffusion.improved_ddpm import build as build_improved
from danlu.generative.diffusion.meanflow import MeanFlowOptions
from danlu.generative.diffusion.meanflow import build as build_meanflow
from danlu.generative.diffusion.rectified_flow import build as build_flow
from danlu.generative.diffusion.solvers.ddim import DDIM
from danlu.generative.tiny import TINY_VECTOR
from danlu.laws.draws import generator, seeded
from danlu.laws.gaps import gap, largest, relative_gap
from danlu.laws.generative.diffusion.test_bed import item_noise, points
from danlu.laws.law import Case, Rows, law_of_cases, table

CLASSED = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0, condition=Classes(3))
MAPS = {"consistency": build_consistency, "distilled": build_distilled, "meanflow": build_meanflow}


def _drawn(build: Any, description: DataDescription, **options: Any) -> Any:
    """A small model whose weights are all away from 0."""
    with seeded(3):
        model = build(description, width=8, **options).double().eval()
        for parameter in model.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model


def handed_out() -> Iterable[Case]:
    """What is exported is the map that samples."""
    for name, build in MAPS.items():
        # A consistency model maps to the data alone.
        inner = 0.0 if name == "consistency" else 0.2

        def error(build: Any = build, inner: float = inner) -> float:
            model, x, worst = _drawn(build, TINY_VECTOR), points(6, 1.0), 0.0
            given = model.exports(model.Options())["flow-map"]
            for t, s in ((1.0, 0.0), (0.7, inner)):
                rows = [torch.full((6,), time, dtype=torch.float64) for time in (t, s)]
                with torch.no_grad():
                    worst = largest(
                        worst, gap(given.module(x, *rows), model.flow_map(None)(x, t, s))
                    )
            return worst

        yield name, error


def straight() -> float:
    """A distilled step goes along the velocity where it begins: x - (t - s) v(x, t)."""
    model, x = _drawn(build_distilled, TINY_VECTOR), points(6, 1.0)
    found, exact = [], []
    for t, s in ((1.0, 0.0), (0.7, 0.2)):
        with torch.no_grad():
            slope = model.value(x, torch.full((6,), t, dtype=torch.float64), None)
            found.append(model.flow_map(None)(x, t, s))
        exact.append(x - (t - s) * slope)
    return gap(found, exact)


def costs() -> float:
    """A jump costs an evaluation, a solver what it takes."""
    model, plain = _drawn(build_meanflow, TINY_VECTOR), _drawn(build_flow, TINY_VECTOR)
    jumps = MeanFlowOptions(evaluations=5)
    solved = MeanFlowOptions(jumps="none", evaluations=6)
    options = plain.Options(evaluations=6)
    found = [model.sampling_evaluations(each) for each in (jumps, solved)]
    ports = [sorted(model.exports(each)) for each in (jumps, solved)]
    named = ports == [["flow-map"], sorted(plain.exports(options))]
    return gap([*found, named], [5, plain.sampling_evaluations(options), True])


def guided() -> float:
    """Guided targets are extrapolated by class."""
    model, z = _drawn(build_meanflow, CLASSED, guidance=2.5), points(6, 1.0)
    velocity = torch.randn(6, 2, generator=generator(4), dtype=torch.float64)
    t = torch.linspace(0.1, 0.9, 6, dtype=torch.float64)
    told = [True, False, True, False, True, True]
    classes = Condition(torch.tensor([0, 1, 2, 0, 1, 0]), given=torch.tensor(told))
    found = model.guided_velocity(z, t, velocity, classes)
    with torch.no_grad():
        base = model.average(z, t, 0 * t, None)
    rows = [
        2.5 * velocity[i] - 1.5 * base[i] if given else velocity[i] for i, given in enumerate(told)
    ]
    untold = model.guided_velocity(z, t, velocity, None)
    return gap((found, untold), (torch.stack(rows), velocity))


def learned_start() -> float:
    """A chain of learned variances starts from noise as large as its highest level."""
    model, seen = _drawn(build_improved, TINY_VECTOR), []
    options = model.Options(variance="learned", solver="ancestral", evaluations=4)
    plain = model.both

    def both(y: Tensor, t: Tensor, condition: Told) -> tuple[Tensor, Tensor]:
        seen.append(y)
        return plain(y, t, condition)

    model.both = both
    _, grid = model.plan(options)
    with torch.no_grad():
        model.draw(item_noise(5), 5, None, options)
    return relative_gap(seen[0], grid[0] * item_noise(5).normal(2))


def ends() -> float:
    """The end law costs its divergence from what is left."""
    model, x = _drawn(build_flow, TINY_VECTOR), points(5)
    last = model.ends()[1]
    left, pure = (Normal(mean, last) for mean in ((1 - last) * x, torch.zeros_like(x)))
    return gap(model.prior_mismatch(x), kl_divergence(left, pure).sum(1))


def scores() -> float:
    """DDIM needs a score where it draws."""
    return gap([DDIM(eta).needs_score for eta in (0.0, math.ulp(0.0), 1.0)], [False, True, True])


_LAWS: Rows = {
    "self-consistency": [
        ("flow-maps/costs", 0.0, costs),
    ],
    "definition": [
        ("flow-maps/straight", 1e-12, straight),
        ("improved-ddpm/start", 1e-12, learned_start),
        ("meanflow/guided", 1e-10, guided),
    ],
    "independent package": [
        ("flow/mismatch", 1e-12, ends),
    ],
    "contract": [
        ("ddim/needs-score", 0.0, scores),
    ],
}

_CASES: Rows = {
    "self-consistency": [
        ("flow-maps/exported", 1e-12, handed_out),
    ],
}

LAWS = [*table(_LAWS), *table(_CASES, law_of_cases)]
