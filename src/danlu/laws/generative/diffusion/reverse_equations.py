"""Laws of solvers of reverse equations with any share of fresh noise, and of their steps."""

import math
from itertools import pairwise

import torch
from scipy.integrate import quad
from torch import Tensor

from danlu.generative.diffusion.analytic import GaussianDenoiser, two_dimensional
from danlu.generative.diffusion.beta_paths import LinearBeta
from danlu.generative.diffusion.grids import karras
from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.solvers.ancestral import Ancestral
from danlu.generative.diffusion.solvers.dpm_multistep import DPMSolverMultistep
from danlu.generative.diffusion.solvers.dpm_sde import DPMSolverSDE
from danlu.generative.diffusion.solvers.euler_maruyama import EulerMaruyama
from danlu.generative.diffusion.solvers.exponential import advance, all_noise, no_noise
from danlu.generative.diffusion.solvers.ode import OdeSolver
from danlu.generative.diffusion.solvers.predictor_corrector import PredictorCorrector
from danlu.generative.diffusion.solvers.solver import run
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.diffusion.solver_laws import final_moments
from danlu.laws.generative.diffusion.test_bed import RecordedNoise, item_noise, points
from danlu.laws.law import Rows, table
from danlu.solvers.steppers import Euler


def half(level: float) -> float:
    """Half the noise of the reverse equation."""
    return 0.5


def corrector_moments() -> float:
    """Predictor and corrector move Gaussian data by their closed forms."""
    std, ratio = 0.4, 0.16
    solver, grid = PredictorCorrector(ratio), karras(Linear(), 400, 2e-3, 20.0)
    variance = grid[0] ** 2 + std**2
    for level, level_next in pairwise(grid[:-1]):
        weight = (level_next / level) ** 2
        shrink = std**2 / (std**2 + level**2)
        variance *= (shrink + weight * (1 - shrink)) ** 2
        variance += weight * (level**2 - level_next**2)
        size = 2 * ratio**2 * level_next**2  # of a Langevin step along the score
        variance *= (1 - size / (std**2 + level_next**2)) ** 2
        variance += 2 * size
    known = std**2 / (std**2 + grid[-2] ** 2) * math.sqrt(variance)
    return gap(final_moments(solver, grid, 0.7, std)[1], known)


def corrector_ends() -> float:
    """400 predictor-corrector steps end near Gaussian data's moments."""
    grid = karras(Linear(), 400, 2e-3, 20.0)
    mean, found = final_moments(PredictorCorrector(), grid, 0.7, 0.4)
    return largest(gap(mean, 0.7), gap(found, 0.4))


def joint_law() -> float:
    """Covariance of two levels: forward = reverse equation with all noise, not the flow's.

    Forward it is the variance at the lower level. The reverse equation with all its noise has it
    too; the flow has the geometric mean of both variances, as the marginals are all it shares.
    """
    lower, upper, data_variance = 1.0, math.sqrt(2.0), 0.5
    one = torch.ones(1, dtype=torch.float64)
    exact = GaussianDenoiser(0 * one, data_variance * one[None])
    grid = [upper * (lower / upper) ** (i / 400) for i in range(401)]
    still = RecordedNoise(torch.zeros(1, 1, dtype=torch.float64))
    variances = [data_variance + level**2 for level in (lower, upper)]
    worst = 0.0
    for share, known in (
        (all_noise, variances[0]),
        (half, variances[0] ** 0.75 * variances[1] ** 0.25),
        (no_noise, math.sqrt(variances[0] * variances[1])),
    ):
        response = run(DPMSolverSDE(share), exact, one[None], grid, still).item()
        worst = largest(worst, gap(response * variances[1], known))
    return worst


def first_order_sde_is_ancestral() -> float:
    """The SDE integrator: ancestral at first order, 2M without fresh noise."""
    mixture, y, z = two_dimensional(), 3.0 * points(), points().flip(0)
    noise, worst = RecordedNoise(z), 0.0
    for level, level_next in ((3.0, 1.7), (0.5, 0.1)):
        ancestral, _ = Ancestral().step(mixture, y, level, level_next, noise, None)
        sde, _ = DPMSolverSDE().step(mixture, y, level, level_next, noise, None)
        worst = largest(worst, gap(ancestral, sde))
    grid = karras(Linear(), 12, 0.02, 40.0)
    still, plain = (
        run(solver, mixture, y, grid, noise)
        for solver in (DPMSolverSDE(no_noise), DPMSolverMultistep())
    )
    return largest(worst, gap(still, plain))


def maruyama_is_euler() -> float:
    """Without fresh noise it is Euler on its path."""
    mixture, y, grid = two_dimensional(), 40.0 * points(), karras(Linear(), 12, 0.02, 40.0)
    worst = 0.0
    for path in (Linear(), LinearBeta()):
        still = run(EulerMaruyama(no_noise, path), mixture, y, grid, item_noise(64))
        euler = run(OdeSolver(Euler(), path), mixture, y, grid, item_noise(64))
        worst = largest(worst, gap(still, euler))
    return worst


def polynomial_steps() -> float:
    """Exponential steps are exact for polynomials in lambda, by quadrature.

    The oracle is quadrature of the step's integral.
    """
    level, level_next, fresh, worst = 2.0, 0.7, 0.35, 0.0
    h = math.log(level / level_next)
    coefficients = (0.3, -1.2, 0.8)

    def data(at: float, degree: int) -> Tensor:
        u = math.log(level / at)
        value = sum(c * u**k for k, c in enumerate(coefficients[: degree + 1]))
        return torch.tensor([[value]], dtype=torch.float64)

    y = torch.tensor([[1.7]], dtype=torch.float64)
    for degree, levels in ((0, (level,)), (2, (level, 2.6, 4.1)), (2, (level, level_next, 2.9))):
        exponent = h + fresh
        integral, _ = quad(
            lambda u, degree=degree, exponent=exponent: (
                exponent
                * math.exp(-exponent * (1 - u))
                * data(level * math.exp(-u * h), degree).item()
            ),
            0.0,
            1.0,
        )
        found = advance(y, level, level_next, [(at, data(at, degree)) for at in levels], fresh)
        worst = largest(worst, gap(found.item() - math.exp(-exponent) * 1.7, integral))
    return worst


_LAWS: Rows = {
    "closed form": [
        ("diffusion/corrector moments", 1e-12, corrector_moments),
        ("diffusion/corrector ends", 3e-3, corrector_ends),
        ("diffusion/joint law of solvers", 1e-4, joint_law),
    ],
    "self-consistency": [
        ("diffusion/sde is ancestral", 1e-12, first_order_sde_is_ancestral),
        ("diffusion/euler-maruyama", 1e-10, maruyama_is_euler),
    ],
    "quadrature": [
        ("diffusion/exponential step", 1e-12, polynomial_steps),
    ],
}

LAWS = table(_LAWS)
