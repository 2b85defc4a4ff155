"""Laws of solvers and steppers on exact denoisers."""

import math
from itertools import pairwise

import torch

from danlu.experiments.checks.law import Law
from danlu.experiments.checks.test_bed import EachDraw, RecordedNoise, item_noise, points
from danlu.generative.diffusion import SOLVERS
from danlu.generative.diffusion.analytic import (
    GaussianDenoiser,
    MixtureDenoiser,
    two_dimensional,
)
from danlu.generative.diffusion.discrete import Discrete, linear_betas
from danlu.generative.diffusion.grids import karras, uniform
from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.solvers.ancestral import Ancestral
from danlu.generative.diffusion.solvers.ddim import DDIM
from danlu.generative.diffusion.solvers.ode import EulerSolver, OdeSolver
from danlu.generative.diffusion.solvers.solver import Solver, run
from danlu.generative.diffusion.solvers.stochastic_heun import StochasticHeun
from danlu.solvers import STEPPERS
from danlu.solvers.steppers import RungeKutta4

LEVELS = (0.1, 0.5, 2.0, 10.0)


def ddim_is_euler() -> float:
    """DDIM equals Euler on the linear path and Euler in the coordinates of the noise level."""
    mixture, grid, y = two_dimensional(), karras(Linear(), 12, 0.02, 40.0), 40.0 * points()
    ddim = run(DDIM(), mixture, y, grid, item_noise(64))
    linear = run(EulerSolver(), mixture, y, grid, item_noise(64))
    plain = y
    for level, level_next in pairwise(grid):
        plain = plain + (level_next - level) * (plain - mixture(plain, level)) / level
    return max((ddim - linear).abs().max().item(), (ddim - plain).abs().max().item())


def ancestral_is_ddpm() -> float:
    """The ancestral chain against DDPM's own formulas, on a table and on every other step of it."""
    betas, mixture, x, z = linear_betas(40), two_dimensional(), points(), points().flip(0)
    bars, worst = (1 - betas).cumprod(0), 0.0
    for i, before in ((20, 19), (20, 18)):
        bar, bar_next = bars[i].item(), bars[before].item()
        alpha = bar / bar_next  # the share kept by the step
        level, level_next = (math.sqrt((1 - b) / b) for b in (bar, bar_next))
        data = mixture(x / math.sqrt(bar), level)
        mean = (
            math.sqrt(bar_next) * (1 - alpha) / (1 - bar) * data
            + math.sqrt(alpha) * (1 - bar_next) / (1 - bar) * x
        )
        small, large = (1 - bar_next) / (1 - bar) * (1 - alpha), 1 - alpha
        for solver, variance in (
            (Ancestral("small"), small),
            (Ancestral("large"), large),
            (DDIM(1.0), small),
        ):
            noise = RecordedNoise(z)
            y, _ = solver.step(mixture, x / math.sqrt(bar), level, level_next, noise, None)
            known = mean + math.sqrt(variance) * z
            worst = max(worst, (math.sqrt(bar_next) * y - known).abs().max().item())
    return worst


def ddim_step_is_affine() -> float:
    """The steps of DDIM on Gaussian data have their closed-form slope and noise."""
    std, level, level_next, eta = 0.4, 3.0, 1.7, 0.6
    one = torch.ones(1, dtype=torch.float64)
    gaussian = MixtureDenoiser(torch.zeros(1, 2, dtype=torch.float64), std * one, one)
    zero, unit = torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    step = DDIM(eta).step
    slope, _ = step(gaussian, unit, level, level_next, RecordedNoise(zero), None)
    spread, _ = step(gaussian, zero, level, level_next, RecordedNoise(unit), None)
    tau = eta**2 * (level_next / level) ** 2 * (level**2 - level_next**2)
    shrink = std**2 / (std**2 + level**2)
    expected = shrink + math.sqrt(level_next**2 - tau) / level * (1 - shrink)
    return max((slope - expected).abs().max().item(), (spread - math.sqrt(tau)).abs().max().item())


def final_moments(
    solver: Solver, grid: list[float], mean: float, std: float
) -> tuple[float, float]:
    """Exact mean and deviation of a solver's samples of Gaussian data.

    All steps are affine in the state and in every draw, whatever the solver remembers, so one run
    whose rows are the start, and each draw alone, propagates the moments without chance.
    """
    one = torch.ones(1, dtype=torch.float64)
    exact = GaussianDenoiser(mean * one, std**2 * one[None])
    rows = len(grid) + 2
    y = torch.full((rows, 1), mean, dtype=torch.float64)
    y[-1] += 1.0  # the start, after as many rows as there can be draws
    found = run(solver, exact, y, grid, EachDraw(rows))[:, 0]
    responses = found[1:] - found[0]
    variance = responses[:-1].square().sum() + (grid[0] ** 2 + std**2) * responses[-1].square()
    return found[0].item(), variance.sqrt().item()


def solver_moments() -> float:
    """Mean and deviation at the end, for endless steps, are the data's for every solver.

    The errors of 200 and 400 steps are extrapolated to none by their first order.
    """
    mean, std, worst = 0.7, 0.4, 0.0
    coarse, fine = (karras(Linear(), steps, 2e-3, 20.0) for steps in (200, 400))
    solvers = [
        *(DDIM(eta) for eta in (0.5, 1.0)),
        Ancestral("large"),
        StochasticHeun(0.02),
        *(method.build() for method in SOLVERS.values()),
    ]
    for solver in solvers:
        ends = [final_moments(solver, grid, mean, std) for grid in (coarse, fine)]
        for rough, close, known in zip(*ends, (mean, std), strict=True):
            worst = max(worst, abs(2 * close - rough - known))
    return worst


def table_moments() -> float:
    """DDPM's thousand steps end at the moments of Gaussian data, with both variances."""
    path = Discrete(linear_betas())
    grid = uniform(path, 1000, *path.levels())
    pairs = [final_moments(Ancestral(v), grid, 0.2, 0.5) for v in ("small", "large")]
    return max(abs(m - 0.2) + abs(s - 0.5) for m, s in pairs)


def _order_gap(solver: Solver, order: int) -> float:
    """Distance of the observed order from the promised one, on the mixture's flow."""
    mixture, highest, lowest, y = two_dimensional(), 5.0, 0.5, points(16, 5.0)
    path = Linear()
    fine = _interval(path, highest, lowest, 100)
    still = RecordedNoise(torch.zeros_like(y))
    reference = run(OdeSolver(RungeKutta4(), path), mixture, y, fine, still)
    errors = [
        (run(solver, mixture, y, _interval(path, highest, lowest, n), still) - reference)
        .norm()
        .item()
        for n in (64, 128)
    ]
    return max(abs(math.log2(a / b) - order) for a, b in pairwise(errors))


def _interval(path: Linear, highest: float, lowest: float, steps: int) -> list[float]:
    first, last = path.time(highest), path.time(lowest)
    return [path.at(first + (last - first) * i / steps).level for i in range(steps + 1)]


def solver_orders() -> float:
    """Every solver of the table that has an order reaches it."""
    solvers = [method.build() for method in SOLVERS.values()]
    return max(_order_gap(solver, solver.order) for solver in solvers if solver.order)


def stepper_orders() -> float:
    """Every stepper reaches its order on a linear equation with a matrix exponential."""
    matrix = torch.tensor([[-0.5, 1.0], [-1.0, 0.2]], dtype=torch.float64)
    start = torch.tensor([1.0, 0.5], dtype=torch.float64)
    exact = torch.linalg.matrix_exp(2 * matrix) @ start
    worst = 0.0
    for method in STEPPERS.values():
        errors = []
        for steps in (16, 32, 64):
            x, stepper = start, method.build()
            for i in range(steps):
                x = stepper.step(lambda x, t: matrix @ x, x, 2 * i / steps, 2 * (i + 1) / steps)
            errors.append((x - exact).norm().item())
        worst = max(worst, *(abs(math.log2(a / b) - stepper.order) for a, b in pairwise(errors)))
    return worst


LAWS = [
    Law(
        "diffusion/ddim is euler",
        "DDIM = Euler on the linear path = Euler in noise levels",
        1e-12,
        ddim_is_euler,
    ),
    Law(
        "diffusion/ancestral is ddpm",
        "the ancestral chain, and DDIM with eta = 1, take DDPM's posterior steps",
        1e-12,
        ancestral_is_ddpm,
    ),
    Law(
        "diffusion/affine step",
        "DDIM on Gaussian data has its closed-form slope and noise",
        1e-12,
        ddim_step_is_affine,
    ),
    Law(
        "diffusion/moments",
        "with endless steps every solver, noise or none, ends at Gaussian data's moments",
        3e-4,
        solver_moments,
    ),
    Law(
        "diffusion/table moments",
        "DDPM's thousand steps end at the exact moments of Gaussian data",
        5e-3,
        table_moments,
    ),
    Law(
        "diffusion/solver orders",
        "every solver reaches its order on a mixture's flow",
        0.1,
        solver_orders,
    ),
    Law(
        "solvers/stepper orders", "every stepper reaches its order on x' = Ax", 0.1, stepper_orders
    ),
]
