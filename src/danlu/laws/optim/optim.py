"""Laws of optimisers, schedules and weight averages against their textbook forms."""

from functools import partial

import torch
from torch import Tensor, nn

from danlu.laws.draws import generator
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Law
from danlu.optim import (
    OPTIMIZERS,
    SCHEDULES,
    NamedParameter,
    OptimizerOptions,
    PowerAverage,
    Rule,
    schedule,
)
from danlu.optim.schedules import FIRST, warmed


def _textbook(name: str, options: OptimizerOptions, rule: Rule, p: Tensor, scale: Tensor) -> Tensor:
    """Six steps on sum(scale * p^2) / 2, written as in the source of each method."""
    beta1, beta2 = options.betas
    assert rule.decay is not None
    rate, decay, tiny = options.rate * rule.rate, options.weight_decay * rule.decay, 1e-8
    m = v = torch.zeros_like(p)
    for t in range(1, 7):
        g = scale * p
        if name == "adamw":
            p = p - rate * decay * p
        else:
            g = g + decay * p
        if name == "sgd":
            m = beta1 * m + g
            p = p - rate * m
            continue
        v = beta2 * v + (1 - beta2) * g.square()
        if name == "rmsprop":
            p = p - rate * g / (v.sqrt() + tiny)
            continue
        m = beta1 * m + (1 - beta1) * g
        p = p - rate * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + tiny)
    return p


def _optimizer_error(name: str) -> float:
    options = OptimizerOptions(name=name, rate=0.05, betas=(0.8, 0.95), weight_decay=0.1)
    rules = (Rule(decay=1.0), Rule(decay=0.0, rate=2.0), Rule(decay=3.0, rate=0.5))
    source = generator()
    start, scale = torch.randn(2, 3, 4, generator=source, dtype=torch.float64)
    weights = [nn.Parameter(row.clone()) for row in start]
    named = [
        NamedParameter(str(index), nn.Linear, "weight", weight, rule)
        for index, (weight, rule) in enumerate(zip(weights, rules, strict=True))
    ]
    optimizer = OPTIMIZERS[name].build(named, options)
    for _ in range(6):
        for weight, row in zip(weights, scale, strict=True):
            weight.grad = row * weight.detach()
        optimizer.step()
    return largest(
        gap(weight, _textbook(name, options, rule, p, row))
        for weight, rule, p, row in zip(weights, rules, start, scale, strict=True)
    )


def _average_error(gamma: float) -> float:
    """The recurrence against the explicit sum, at every length up to 40."""
    path = torch.randn(40, 3, generator=generator(), dtype=torch.float64)
    weight = nn.Parameter(torch.full((3,), 1e3, dtype=torch.float64))  # must be forgotten
    average = PowerAverage([weight], gamma)
    worst = 0.0
    for n, point in enumerate(path, start=1):
        weight.data = point.clone()
        average.update()
        edges = torch.arange(n + 1, dtype=torch.float64).pow(gamma + 1)
        profile = edges.diff() / edges[-1]
        worst = largest(worst, gap(average.values[0], profile @ path[:n]))
    return worst


VALUES = {  # name -> (fraction, factor)
    "constant": ((0.0, 1.0), (0.5, 1.0), (1.0, 1.0)),
    "linear": ((0.0, 1.0), (0.25, 0.75), (1.0, 0.0)),
    "cosine": ((0.0, 1.0), (1 / 3, 0.75), (0.5, 0.5), (1.0, 0.0)),
    "sqrt": ((0.0, 1.0), (0.75, 0.5), (1.0, 0.0)),
    "inverse-square": ((0.0, 1.0), (0.1, 0.5), (0.1 * (2**0.5 + 1), 0.25)),
    "inverse-time": ((0.0, 1.0), (0.1, 0.5), (0.3, 0.25), (0.9, 0.1)),
}


def _schedule_error(name: str) -> float:
    """Known values, the start of the warm-up, its joint, and the rest unchanged."""
    factor, warmup = schedule(name), 0.2
    climbing = warmed(factor, warmup)
    errors = [gap(factor(u), value) for u, value in VALUES[name]]
    errors += [gap(climbing(0.0), FIRST), gap(climbing(0.1), 0.55 * factor(0.1))]
    errors += [gap(climbing(u), factor(u)) for u in (0.2, 0.6, 1.0)]
    errors.append(gap(climbing(warmup - 1e-13), factor(warmup)))
    return largest(errors)


LAWS: list[Law] = [
    *(
        Law(
            f"optim/{name}",
            f"{name} with per-parameter rules equals its textbook recurrence",
            1e-12,
            partial(_optimizer_error, name),
            oracle="definition",
        )
        for name in OPTIMIZERS
        if name != "amos"  # its laws are in a file of their own
    ),
    *(
        Law(
            f"optim/power-average-{gamma:g}",
            f"the running average has weights (t^{gamma + 1:g} - (t-1)^{gamma + 1:g}) / n^...",
            1e-11,
            partial(_average_error, gamma),
            oracle="closed form",
        )
        for gamma in (0.0, 6.94)
    ),
    *(
        Law(
            f"optim/schedule-{name}",
            f"{name} has its known values, after a warm-up that joins it",
            1e-11,
            partial(_schedule_error, name),
            oracle="closed form",
        )
        for name in SCHEDULES
    ),
]
