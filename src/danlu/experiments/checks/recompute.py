"""Laws of recomputing: gradients to the bit, schedules and plans against exact searches.

The transformer's blocks are mixers, whose laws include it; the backbones here are the others.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import pairwise, product
from math import inf
from typing import Any

import numpy as np
import torch
from scipy.optimize import Bounds, LinearConstraint, milp
from torch import Tensor, nn
from torch.nn.functional import dropout

from danlu.backbones.convnets import ConvDecoder, ConvEncoder
from danlu.backbones.mlp import MLP
from danlu.backbones.unet import UNet
from danlu.experiments.checks.law import Law
from danlu.layers.recompute import (
    Cost,
    Reversible,
    Segment,
    added_cost,
    least_memory,
    least_steps,
    peak,
    plan,
    recompute,
    revolve,
    save_products,
    uniform,
)
from danlu.training.recomputing import blocks_of, once

DROP = 0.2


def _drop(_: nn.Module, __: Any, output: Tensor) -> Tensor:
    return dropout(output, DROP)


def _dropped(model: nn.Module) -> nn.Module:
    """The model with dropout after every linear map and convolution."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.register_forward_hook(_drop)
    return model


def _mlp() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return MLP(3, 2, width=8, depth=5, features=4), (torch.randn(6, 3), torch.randn(6, 4))


def _unet() -> tuple[nn.Module, tuple[Tensor, ...]]:
    network = UNet(1, width=8, multipliers=(1, 2), features=4)
    return network, (torch.randn(3, 1, 9, 8), torch.randn(3, 4))


def _encoder() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return ConvEncoder((1, 16, 16), 3, width=8, features=4), (
        torch.randn(3, 1, 16, 16),
        torch.randn(3, 4),
    )


def _decoder() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return ConvDecoder(3, (1, 16, 16), width=8, features=4), (torch.randn(3, 3), torch.randn(3, 4))


BACKBONES: dict[str, Callable[[], tuple[nn.Module, tuple[Tensor, ...]]]] = {
    "mlp": _mlp,
    "unet": _unet,
    "conv-encoder": _encoder,
    "conv-decoder": _decoder,
}


def _gradients(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    torch.manual_seed(1)
    model.zero_grad()
    model(*inputs).square().sum().backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def backbone_is_bit_equal(name: str) -> float:
    """Gradients that differ, over segments of one, segments of all and saved products."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, inputs = BACKBONES[name]()
        for parameter in model.parameters():  # maps that start at zero would hide the rest
            nn.init.normal_(parameter, std=0.3)
        _dropped(model)
        plain = _gradients(model, inputs)
        blocks = once(blocks_of(model), lambda: model(*inputs))
        wrong = 0.0 if blocks else inf
        for contexts in ({}, {"contexts": save_products}):
            with recompute(blocks, uniform(len(blocks), len(blocks)), **contexts):
                wrong += _different(plain, _gradients(model, inputs))
        if name == "mlp":
            with recompute(blocks, uniform(len(blocks), 2)):
                wrong += _different(plain, _gradients(model, inputs))
    return wrong


def _different(a: list[Tensor], b: list[Tensor]) -> float:
    return float(len(a) != len(b)) + sum(not torch.equal(x, y) for x, y in zip(a, b, strict=False))


# --- the planner -------------------------------------------------------------------------------


def _costs(seed: int, n: int) -> list[Cost]:
    draw = np.random.default_rng(seed)
    return [
        Cost(
            saved=int(draw.integers(1, 30)),
            boundary=int(draw.integers(1, 6)),
            seconds=float(draw.integers(1, 9)),
            gradients=int(draw.integers(0, 4)),
            work=int(draw.integers(0, 8)),
        )
        for _ in range(n)
    ]


def _every_plan(n: int) -> Iterator[list[Segment]]:
    for marks in product((False, True), repeat=n - 1):
        edges = [0, *(i + 1 for i, cut in enumerate(marks) if cut), n]
        parts = list(pairwise(edges))
        for kept in product((False, True), repeat=len(parts)):
            if all(again or b - a == 1 for (a, b), again in zip(parts, kept, strict=True)):
                yield [Segment(a, b, again) for (a, b), again in zip(parts, kept, strict=True)]


def plan_is_optimal() -> float:
    """Excess of added time, and of the least peak, over every plan of seven blocks."""
    worst = 0.0
    for seed in range(4):
        costs = _costs(seed, 7)
        every = [(peak(costs, s), added_cost(costs, s)) for s in _every_plan(7)]
        least = min(bytes_ for bytes_, _ in every)
        worst = max(worst, abs(peak(costs, least_memory(costs)) - least))
        for memory in np.linspace(least, max(bytes_ for bytes_, _ in every), 7):
            best = min(seconds for bytes_, seconds in every if bytes_ <= memory)
            found = plan(costs, float(memory))
            over = max(0.0, peak(costs, found) - memory)
            worst = max(worst, over, abs(added_cost(costs, found) - best))
    return worst


# --- revolve -----------------------------------------------------------------------------------


@cache
def _dynamic(n: int, snapshots: int) -> int:
    if n == 1:
        return 0
    if snapshots == 1:
        return n * (n - 1) // 2
    return min(j + _dynamic(j, snapshots) + _dynamic(n - j, snapshots - 1) for j in range(1, n))


def steps_are_dynamic_program() -> float:
    """Chains up to 59 steps and 7 snapshots whose count differs."""
    return float(
        sum(least_steps(n, c) != _dynamic(n, c) for n in range(1, 60) for c in range(1, 8))
    )


def steps_are_integer_program() -> float:
    """Difference from the exact mixed-integer schedule of short chains."""
    pairs = [(4, 1), (5, 2), (6, 2), (6, 3), (7, 3)]
    return max(abs(least_steps(n, c) - _integer_steps(n, c)) for n, c in pairs)


def _integer_steps(n: int, snapshots: int) -> float:
    """Fewest computations: stage t reverses step n - t and needs the state n - t - 1.

    Unknowns are `run[t, i]`, whether state i is computed in stage t, and `kept[t, i]`, whether it
    is kept into stage t.
    """
    unknowns = np.eye(2 * n * n).reshape(2, n, n, -1)
    run, kept = unknowns
    pairs = list(product(range(n), range(n)))
    constraints = [
        # What a stage needs is there, within the snapshots.
        LinearConstraint([run[t, n - t - 1] + kept[t, n - t - 1] for t in range(n)], lb=1),
        LinearConstraint(kept.sum(1), ub=snapshots),
        # A state comes from the one before it; the first is given, and kept at the start alone.
        LinearConstraint([run[t, i] - run[t, i - 1] - kept[t, i - 1] for t, i in pairs if i], ub=0),
        LinearConstraint(run[:, 0], ub=0),
        LinearConstraint(kept[0], lb=np.eye(n)[0], ub=np.eye(n)[0]),
        # What is kept was there in the stage before.
        LinearConstraint(
            [kept[t, i] - run[t - 1, i] - kept[t - 1, i] for t, i in pairs if t], ub=0
        ),
    ]
    cost = run.sum((0, 1))
    found = milp(cost, constraints=constraints, integrality=np.ones(cost.size), bounds=Bounds(0, 1))
    return float(found.fun)


def revolve_is_exact() -> float:
    """Gradients that differ from the plain ones, and steps beyond the least."""
    wrong = 0.0
    generator = torch.Generator().manual_seed(0)
    for n, snapshots in ((1, 1), (2, 1), (7, 2), (20, 3), (12, 20)):
        weight = torch.randn(3, 3, generator=generator, dtype=torch.float64).requires_grad_()
        x = torch.randn(2, 3, generator=generator, dtype=torch.float64).requires_grad_()
        swept = 0

        def step(state: tuple[Tensor, ...], index: int) -> tuple[Tensor, ...]:
            nonlocal swept
            swept += not torch.is_grad_enabled()
            return (torch.tanh(state[0] @ weight + 0.01 * index), state[1] + state[0].sum(-1))  # noqa: B023

        state: tuple[Tensor, ...] = (x, x.sum(-1))
        for index in range(n):
            state = step(state, index)
        expected = torch.autograd.grad(_total(state), [x, weight])
        swept = 0
        state = revolve(step, [x, x.sum(-1)], [weight], n=n, snapshots=snapshots)
        found = torch.autograd.grad(_total(state), [x, weight])
        wrong += _different(list(expected), list(found))
        # The scan itself needs one step more than its reversal: the last.
        wrong += abs(swept - 1 - least_steps(n, snapshots))
    return wrong


def _total(state: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([leaf.sin().flatten() for leaf in state]).sum()


# --- the reversible stack ----------------------------------------------------------------------


def reversible_is_plain() -> float:
    """Error of gradients, dropout included, and of the inverse without it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pairs = [
            (nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Dropout(DROP)), nn.Linear(4, 4))
            for _ in range(5)
        ]
        stack = Reversible(pairs).double()
        x1, x2 = (torch.randn(3, 4).double().requires_grad_() for _ in range(2))

        def gradients(run: Callable[..., tuple[Tensor, Tensor]]) -> list[Tensor]:
            torch.manual_seed(1)
            y1, y2 = run(x1, x2)
            total = (y1.sin() + y2.square()).sum()
            return list(torch.autograd.grad(total, [x1, x2, *stack.parameters()]))

        found, expected = gradients(stack), gradients(stack.plain)
        errors = [(a - b).abs().max().item() for a, b in zip(found, expected, strict=True)]
        stack.eval()
        back = stack.inverse(*stack(x1, x2))
        errors += [(a - b).abs().max().item() for a, b in zip(back, (x1, x2), strict=True)]
    return max(errors)


LAWS: list[Law] = [
    *(
        Law(
            f"recompute/gradients-{name}",
            "recomputed gradients equal the plain ones bit for bit, dropout included",
            0.0,
            partial(backbone_is_bit_equal, name),
        )
        for name in BACKBONES
    ),
    Law(
        "recompute/plan",
        "the plan is the best of all plans of a chain, at every budget",
        1e-9,
        plan_is_optimal,
    ),
    Law(
        "recompute/revolve-steps",
        "t(n, c) = r n - binom(c + r, c + 1) equals the dynamic program for n < 60, c < 8",
        0.0,
        steps_are_dynamic_program,
    ),
    Law(
        "recompute/revolve-integer-program",
        "t(n, c) equals the exact mixed-integer schedule",
        1e-6,
        steps_are_integer_program,
    ),
    Law(
        "recompute/revolve",
        "gradients through a scan equal the plain ones, in the fewest steps",
        0.0,
        revolve_is_exact,
    ),
    Law(
        "recompute/reversible",
        "a reversible stack has the gradients of the plain one, and an inverse",
        1e-12,
        reversible_is_plain,
    ),
]
