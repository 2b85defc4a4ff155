"""Laws of what an optimiser is told: its groups, its schedules, and which weights decay."""

import math

import torch
from torch import nn

from danlu.laws.draws import generator
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Law, stated
from danlu.optim import (
    OPTIMIZERS,
    AmosSchedule,
    NamedParameter,
    OptimizerOptions,
    PowerAverage,
    Rule,
    first_distance,
    scaled_update,
)
from danlu.optim.parameters import named_parameters
from danlu.optim.scales import parse_scale
from danlu.optim.schedules import Scheduled


def _named(rule: Rule, *shape: int) -> NamedParameter:
    return NamedParameter(
        "layer.weight", nn.Linear, "weight", nn.Parameter(torch.ones(shape)), rule
    )


def _amos_groups() -> float:
    """Rates and decays are products of option and rule; scales are the rule's, the user's first."""
    options = OptimizerOptions(
        name="amos", rate=0.02, weight_decay=0.3, betas=(0.6, 0.95), value_clip=0.7,
        falling=(0.2, 0.4), scales=(r"layer\.weight=8/in",),
    )  # fmt: skip
    rows = [_named(Rule(rate=0.5, decay=2.0), 4, 2), _named(Rule(decay=0.0, scale=3.0), 4, 2)]
    whole = OPTIMIZERS["amos"].build(rows, options)
    plain = OPTIMIZERS["amos"].build(rows[1:], OptimizerOptions(name="amos"))
    names = ("lr", "weight_decay", "beta", "momentum", "clip", "rate_decay", "decay_decay")
    found = [[group[name] for name in names] for group in whole.param_groups]
    etas = [group["eta"] for group in [*whole.param_groups, *plain.param_groups]]
    shared = [0.95, 0.6, 0.7, 0.2, 0.4]
    expected = [[0.01, 0.6, *shared], [0.02, 0.0, *shared]]
    return gap((found, etas), (expected, [[2.0], [2.0], [3.0]]))


def _amos_cuts() -> float:
    """A gradient beyond the cut moves a weight like one at the cut, on either side."""
    moved = []
    for size in (0.5, 9.0):
        for sign in (1.0, -1.0):
            weight = nn.Parameter(torch.zeros(3))
            options = OptimizerOptions(name="amos", value_clip=0.5, scales=(".*=1",))
            row = NamedParameter("weight", nn.Linear, "weight", weight, Rule())
            optimizer = OPTIMIZERS["amos"].build([row], options)
            weight.grad = torch.tensor([sign * size, 0.1, -0.2])
            optimizer.step()
            moved.append(weight.detach().clone())
    return gap(moved[2:], moved[:2])


def _scheduled() -> float:
    """Scheduled fields are their base times warm-up and schedule in every group."""
    options = OptimizerOptions(
        name="adamw", rate=0.2, weight_decay=0.4, warmup=0.1, schedule="linear",
        schedules={"weight_decay": "cosine"},
    )  # fmt: skip
    rows = [_named(Rule(decay=1.0), 2, 2), _named(Rule(rate=0.5, decay=3.0), 2, 2)]
    optimizer = OPTIMIZERS["adamw"].build(rows, options)
    scheduled, found = Scheduled(optimizer, options), []
    for fraction in (0.0, 0.05, 0.5):
        scheduled.set(fraction)
        found.append([[g["lr"], g["weight_decay"]] for g in optimizer.param_groups])
    factors = ((0.1, 1.0), (0.55 * 0.95, (1 + 0.9876883405951378) / 2), (0.5, 0.5))
    expected = [[[0.2 * a, 0.4 * b], [0.1 * a, 1.2 * b]] for a, b in factors]
    return gap((found, scheduled.rate), (expected, 0.1))


def _decays() -> float:
    """Matrices decay, vectors and embeddings do not."""
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3), nn.LayerNorm(3))
    found = {row.path: row.rule.decay for row in named_parameters(model, [model])}
    expected = {"0.weight": 0.0, "1.weight": 1.0, "1.bias": 0.0, "2.weight": 0.0, "2.bias": 0.0}
    return gap(found, expected)


def _patterns() -> float:
    """A pattern's scale is its number, or the root of its gain over the inputs."""
    shape = torch.Size((3, 4, 2))
    return gap([parse_scale(".*=0.3")[1](shape), parse_scale(".*=2/in")[1](shape)], [0.3, 0.5])


def _swapped() -> float:
    """Averages stand in for the parameters inside `swap` alone."""
    start, after = torch.randn(2, 3, generator=generator())
    weight = nn.Parameter(start.clone())
    average = PowerAverage([weight], gamma=0.0)
    average.update()
    weight.data = after.clone()
    average.update()
    with average.swap():
        inside = weight.detach().clone()
    outside = weight.detach().clone()
    average.copy_to_parameters()
    middle = (start + after) / 2
    return gap((inside, outside, weight.detach()), (middle, after, middle))


def _distances() -> float:
    """First distances are the size at the start, and the defaults are the source's."""
    kernel = torch.randn(4, 6, generator=generator())
    root = math.sqrt(24)
    pairs = [
        (first_distance(nn.Parameter(kernel)), math.sqrt((kernel**2).sum().item())),
        (first_distance(nn.Parameter(torch.zeros(4, 6))), root / math.sqrt(6)),
        (first_distance(nn.Parameter(torch.ones(9))), 1.5),
    ]
    weight = nn.Parameter(torch.ones(2))
    schedule = AmosSchedule(kind="inverse-time", halve_at=5.0)
    made = scaled_update(torch.optim.SGD([weight], lr=1.0), schedule)
    defaults = [made.overlap, made.param_groups[0]["lr"]]
    return largest(gap(defaults, [1.0, 1e-3]), *(gap(found, exact) for found, exact in pairs))


def _stands_still() -> float:
    """Without an update a weight decays alone."""
    weight = nn.Parameter(torch.ones(3))
    schedule = AmosSchedule(kind="inverse-square", halve_at=5.0)
    made = scaled_update(torch.optim.SGD([weight], lr=1.0), schedule, rate=0.2)
    weight.grad = torch.zeros(3)
    made.step()
    return gap(weight.detach(), torch.full((3,), 1 - 0.02))


LAWS: list[Law] = [
    stated("optim/kexue-distances", 1e-14, _distances, "definition"),
    stated("optim/kexue-still", 1e-15, _stands_still, "definition"),
    Law(
        "optim/amos-groups",
        "Amos' groups have the products of options and rules, and the scales that speak first",
        1e-15,
        _amos_groups,
        oracle="definition",
    ),
    Law(
        "optim/amos-cut",
        "Amos cuts the entries of gradients on both sides",
        0.0,
        _amos_cuts,
        oracle="definition",
    ),
    stated("optim/scheduled", 1e-15, _scheduled, "definition"),
    stated("optim/decays", 0.0, _decays, "contract"),
    stated("optim/scale-patterns", 1e-15, _patterns, "definition"),
    stated("optim/swapped", 1e-15, _swapped, "definition"),
]
