"""Laws of Revolve: its counts by dynamic and integer programs, its gradients by plain autograd."""

from functools import cache
from itertools import product

import numpy as np
import torch
from scipy.optimize import Bounds, LinearConstraint, milp
from torch import Tensor

from danlu.laws.draws import generator
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Rows, table
from danlu.layers.recompute import least_steps, revolve
from danlu.solvers import STEPPERS


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
    return largest(gap(least_steps(n, c), _integer_steps(n, c)) for n, c in pairs)


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
    """Gradients through a scan equal the plain ones, in the fewest steps."""
    wrong = 0.0
    source = generator()
    for n, snapshots in ((1, 1), (2, 1), (7, 2), (20, 3), (12, 20)):
        weight = torch.randn(3, 3, generator=source, dtype=torch.float64).requires_grad_()
        x = torch.randn(2, 3, generator=source, dtype=torch.float64).requires_grad_()
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
        wrong += gap(found, expected)
        # The scan itself needs one step more than its reversal: the last.
        wrong += gap(swept - 1, least_steps(n, snapshots))
    return wrong


def _total(state: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([leaf.sin().flatten() for leaf in state]).sum()


def ode_is_exact() -> float:
    """Gradients through the steps of every solver equal the plain ones."""
    worst = 0.0
    source = generator()
    for method in STEPPERS.values():
        stepper, n = method.build(), 12
        weight = torch.randn(3, 3, generator=source, dtype=torch.float64).requires_grad_()
        x = torch.randn(2, 3, generator=source, dtype=torch.float64).requires_grad_()

        def step(state: tuple[Tensor, ...], index: int) -> tuple[Tensor, ...]:
            def drift(x: Tensor, t: float) -> Tensor:
                return torch.tanh(x @ weight + t)  # noqa: B023

            return (stepper.step(drift, state[0], index / n, (index + 1) / n),)  # noqa: B023

        state: tuple[Tensor, ...] = (x,)
        for index in range(n):
            state = step(state, index)
        expected = torch.autograd.grad(_total(state), [x, weight])
        state = revolve(step, [x], [weight], n=n, snapshots=3)
        found = torch.autograd.grad(_total(state), [x, weight])
        errors = [gap(a, b) for a, b in zip(expected, found, strict=True)]
        worst = largest(worst, *errors)
    return worst


_LAWS: Rows = {
    "enumeration": [
        (
            "recompute/revolve-steps",
            "t(n, c) = r n - binom(c + r, c + 1) equals the dynamic program for n < 60, c < 8",
            0.0,
            steps_are_dynamic_program,
        ),
    ],
    "independent package": [
        (
            "recompute/revolve-integer-program",
            "t(n, c) equals the exact mixed-integer schedule",
            1e-6,
            steps_are_integer_program,
        ),
    ],
    "automatic differentiation": [
        ("recompute/revolve", 0.0, revolve_is_exact),
        ("recompute/revolve-equation", 1e-12, ode_is_exact),
    ],
}

LAWS = table(_LAWS)
