"""Laws of solvers and steppers on exact denoisers."""

import math
from itertools import pairwise

import torch

from danlu.generative.diffusion import SOLVERS
from danlu.generative.diffusion.analytic import MixtureDenoiser, two_dimensional
from danlu.generative.diffusion.discrete import Discrete, linear_betas
from danlu.generative.diffusion.grids import karras, uniform
from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.solvers.ancestral import Ancestral
from danlu.generative.diffusion.solvers.ddim import DDIM
from danlu.generative.diffusion.solvers.dpm_sde import DPMSolverSDE
from danlu.generative.diffusion.solvers.euler_maruyama import EulerMaruyama
from danlu.generative.diffusion.solvers.ode import EulerSolver
from danlu.generative.diffusion.solvers.predictor_corrector import PredictorCorrector
from danlu.generative.diffusion.solvers.solver import Solver, run
from danlu.generative.diffusion.solvers.stochastic_heun import StochasticHeun
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.couplings import LAWS as COUPLING_LAWS
from danlu.laws.generative.diffusion.reverse_equations import LAWS as REVERSE_LAWS
from danlu.laws.generative.diffusion.reverse_equations import half
from danlu.laws.generative.diffusion.solver_laws import (
    final_moments,
    moments_gap,
    worst_of,
)
from danlu.laws.generative.diffusion.test_bed import RecordedNoise, item_noise, points
from danlu.laws.law import Law, Rows, table
from danlu.solvers import STEPPERS

LEVELS = (0.1, 0.5, 2.0, 10.0)


def ddim_is_euler() -> float:
    """DDIM = Euler on the linear path = Euler in noise levels."""
    mixture, grid, y = two_dimensional(), karras(Linear(), 12, 0.02, 40.0), 40.0 * points()
    ddim = run(DDIM(), mixture, y, grid, item_noise(64))
    linear = run(EulerSolver(), mixture, y, grid, item_noise(64))
    plain = y
    for level, level_next in pairwise(grid):
        plain = plain + (level_next - level) * (plain - mixture(plain, level)) / level
    return largest(gap(ddim, linear), gap(ddim, plain))


def ancestral_is_ddpm() -> float:
    """The ancestral chain, and DDIM with eta = 1, take DDPM's posterior steps."""
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
            worst = largest(worst, gap(math.sqrt(bar_next) * y, known))
    return worst


def ddim_step_is_affine() -> float:
    """DDIM on Gaussian data has its closed-form slope and noise."""
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
    return largest(gap(slope, expected), gap(spread, math.sqrt(tau)))


def solver_moments() -> float:
    """With endless steps every solver, noise or none, ends at Gaussian data's moments."""
    fading = lambda level: 2 * level / (1 + level)
    solvers = [
        *(DDIM(eta) for eta in (0.5, 1.0)),
        Ancestral("large"),
        StochasticHeun(0.02),
        *(kind(share) for kind in (DPMSolverSDE, EulerMaruyama) for share in (half, fading)),
        # The corrector's error does not fall by a first order; its own law follows.
        *(solver for solver in every_solver() if not isinstance(solver, PredictorCorrector)),
    ]
    return worst_of(moments_gap, solvers)


def every_solver() -> list[Solver]:
    """One of each solver of the table."""
    return [method.build() for method in SOLVERS.values()]


def table_moments() -> float:
    """DDPM's thousand steps end at the exact moments of Gaussian data."""
    path = Discrete(linear_betas())
    grid = uniform(path, 1000, *path.levels())
    pairs = [final_moments(Ancestral(v), grid, 0.2, 0.5) for v in ("small", "large")]
    return largest(gap(m, 0.2) + gap(s, 0.5) for m, s in pairs)


def stepper_orders() -> float:
    """Every stepper reaches its order on x' = Ax."""
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
        worst = largest(worst, *(gap(math.log2(a / b), stepper.order) for a, b in pairwise(errors)))
    return worst


_LAWS: Rows = {
    "definition": [
        ("diffusion/ddim is euler", 1e-12, ddim_is_euler),
        ("diffusion/ancestral is ddpm", 1e-12, ancestral_is_ddpm),
    ],
    "closed form": [
        ("diffusion/affine step", 1e-12, ddim_step_is_affine),
        ("diffusion/moments", 3e-4, solver_moments),
        ("diffusion/table moments", 5e-3, table_moments),
        ("solvers/stepper orders", 0.1, stepper_orders),
    ],
}

LAWS: list[Law] = [
    *table(_LAWS),
    *REVERSE_LAWS,
    *COUPLING_LAWS,
]
