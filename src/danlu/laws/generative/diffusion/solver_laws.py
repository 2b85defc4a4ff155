"""Laws of any solver, danlu's or a user's own, on exact denoisers: no network, no chance.

They are asked of what a solver declares: its order on a mixture's flow, the moments that it ends
at on Gaussian data, the evaluations that it costs, and that no sample depends on another.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts import built
from danlu.generative.diffusion import SOLVERS
from danlu.generative.diffusion.analytic import GaussianDenoiser, two_dimensional
from danlu.generative.diffusion.grids import karras
from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.solvers.ode import OdeSolver
from danlu.generative.diffusion.solvers.solver import Solver, run
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.diffusion.test_bed import EachDraw, RecordedNoise, item_noise, points
from danlu.laws.law import Law
from danlu.solvers.steppers import RungeKutta4

MEAN, STD = 0.7, 0.4


def final_moments(
    solver: Solver, grid: list[float], mean: float, std: float
) -> tuple[float, float]:
    """Exact mean and deviation of a solver's samples of Gaussian data.

    All steps are affine in the state and in every draw, whatever the solver remembers, so one run
    whose rows are the start, and each draw alone, propagates the moments without chance.
    """
    one = torch.ones(1, dtype=torch.float64)
    exact = GaussianDenoiser(mean * one, std**2 * one[None])
    rows = 2 * len(grid) + 2  # two draws a step, the start, and none of them
    y = torch.full((rows, 1), mean, dtype=torch.float64)
    y[-1] += 1.0
    found = run(solver, exact, y, grid, EachDraw(rows))[:, 0]
    responses = found[1:] - found[0]
    variance = responses[:-1].square().sum() + (grid[0] ** 2 + std**2) * responses[-1].square()
    return found[0].item(), variance.sqrt().item()


def moments_gap(solver: Solver) -> float:
    """Mean and deviation at the end, for endless steps, from Gaussian data's.

    The errors of 200 and 400 steps are extrapolated to none by their first order.
    """
    coarse, fine = (karras(Linear(), steps, 2e-3, 20.0) for steps in (200, 400))
    ends = [final_moments(solver, grid, MEAN, STD) for grid in (coarse, fine)]
    return largest(
        gap(2 * close - rough, known)
        for rough, close, known in zip(*ends, (MEAN, STD), strict=True)
    )


def order_gap(solver: Solver) -> float:
    """Distance of the observed order from the promised one, on the mixture's flow."""
    assert solver.order is not None
    mixture, y = two_dimensional(), points(16, 5.0)
    still = RecordedNoise(torch.zeros_like(y))
    reference = run(OdeSolver(RungeKutta4(), Linear()), mixture, y, _interval(100), still)
    errors = [
        (run(solver, mixture, y, _interval(n), still) - reference).norm().item() for n in (64, 128)
    ]
    return gap(math.log2(errors[0] / errors[1]), solver.order)


def _interval(steps: int, highest: float = 5.0, lowest: float = 0.5) -> list[float]:
    path = Linear()
    first, last = path.time(highest), path.time(lowest)
    return path.levels_at([first + (last - first) * i / steps for i in range(steps + 1)])


def apart_gap(solver: Solver) -> float:
    """A sample alone, or taken once more, against the same one among others."""
    mixture, grid, y = two_dimensional(), karras(Linear(), 8, 0.02, 40.0), 40.0 * points(5)
    together = run(solver, mixture, y, grid, item_noise(5))
    again = run(solver, mixture, y, grid, item_noise(5))
    alone = [run(solver, mixture, y[i : i + 1], grid, item_noise([i])) for i in range(5)]
    return largest(gap(together, again), gap(together, torch.cat(alone)))


def evaluations_gap(solver: Solver) -> float:
    """Evaluations of runs of several lengths against those declared, and paid for."""
    mixture, y, worst = two_dimensional(), points(2), 0

    for paid in (1, 2, 3, 9, 10):
        calls: list[float] = []

        def counted(
            y: Float[Tensor, "batch dim"], level: float, calls: list[float] = calls
        ) -> Float[Tensor, "batch dim"]:
            calls.append(level)
            return mixture(y, level)

        steps = solver.steps(paid)
        run(solver, counted, y, karras(Linear(), steps, 0.1, 10.0), item_noise(2))
        declared = solver.calls * (steps - 1) + 1 + (solver.start_calls if steps > 1 else 0)
        worst = largest(worst, gap(len(calls), declared), len(calls) - paid)
    return float(worst)


def worst_of(measure: Callable[[Solver], float], solvers: Sequence[Solver]) -> float:
    """The largest of a measure."""
    return largest(measure(solver) for solver in solvers)


def solver_laws(name: str, target: Any) -> list[Law]:
    """The laws that one solver must obey by what it declares.

    Raises:
        DanluError: the target makes no `Solver`.
    """
    given = isinstance(target, Solver)
    solver = target if given else built(name.rpartition("/")[2], Solver, target)
    rows = [
        Law(
            f"{name}/moments",
            "with endless steps it ends at Gaussian data's moments",
            5e-3,
            lambda: moments_gap(solver),
            oracle="closed form",
        ),
        Law(
            f"{name}/apart",
            "no sample depends on others or on earlier runs",
            1e-10,
            lambda: apart_gap(solver),
            oracle="contract",
        ),
        Law(
            f"{name}/evaluations",
            "it costs the evaluations that it declares, and no more than are paid for",
            0.0,
            lambda: evaluations_gap(solver),
            oracle="contract",
        ),
    ]
    if solver.order is not None:
        rows.append(
            Law(
                f"{name}/order",
                f"it reaches its order, {solver.order}, on a mixture's flow",
                0.25,  # orders are whole; at 64 steps they are seen to about 0.1
                lambda: order_gap(solver),
                oracle="self-consistency",
            )
        )
    return rows


LAWS = [
    law for name, row in SOLVERS.items() for law in solver_laws(f"diffusion/{name}", row.build())
]
