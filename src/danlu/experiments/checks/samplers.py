"""Laws of samplers and steppers on exact denoisers."""

import math
from itertools import pairwise

import torch
from torch import Tensor

from danlu.experiments.checks.law import Law
from danlu.experiments.checks.test_bed import RecordedNoise, item_noise, points
from danlu.generative.diffusion import SOLVERS
from danlu.generative.diffusion.analytic import MixtureDenoiser, two_dimensional
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.grids import karras
from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.samplers import (
    DDIM,
    EulerSampler,
    OdeSampler,
    Sampler,
    run,
)
from danlu.solvers import STEPPERS
from danlu.solvers.steppers import RungeKutta4

LEVELS = (0.1, 0.5, 2.0, 10.0)


def ddim_is_euler() -> float:
    """DDIM equals Euler on the linear path and Euler in the coordinates of the noise level."""
    mixture, grid, y = two_dimensional(), karras(12, 0.02, 40.0), 40.0 * points()
    ddim = run(DDIM(), mixture, y, grid, item_noise(64))
    linear = run(EulerSampler(), mixture, y, grid, item_noise(64))
    plain = y
    for level, level_next in pairwise(grid):
        plain = plain + (level_next - level) * (plain - mixture(plain, level)) / level
    return max((ddim - linear).abs().max().item(), (ddim - plain).abs().max().item())


def ddim_is_ancestral() -> float:
    """DDIM with eta = 1 equals DDPM's posterior step, written from its own formulas."""
    mixture, x, z = two_dimensional(), points(), points().flip(0)
    bar, bar_next = 0.3, 0.55  # cumulative products of the variance-preserving chain
    alpha = bar / bar_next
    level, level_next = (math.sqrt((1 - b) / b) for b in (bar, bar_next))
    data = mixture(x / math.sqrt(bar), level)
    mean = (
        math.sqrt(bar_next) * (1 - alpha) / (1 - bar) * data
        + math.sqrt(alpha) * (1 - bar_next) / (1 - bar) * x
    )
    std = math.sqrt((1 - bar_next) / (1 - bar) * (1 - alpha))
    ours = DDIM(1.0).step(mixture, x / math.sqrt(bar), level, level_next, RecordedNoise(z))
    return (math.sqrt(bar_next) * ours - (mean + std * z)).abs().max().item()


def sampler_moments() -> float:
    """On Gaussian data every step is affine: propagate the variance of DDIM exactly.

    With fine grids the final variance must be the data's for any eta.
    """
    std, worst = 0.4, 0.0
    for eta in (0.0, 0.5, 1.0):
        variance, grid = std**2 + 20.0**2, karras(8000, 1e-3, 20.0)
        for level, level_next in pairwise(grid):
            shrink = std**2 / (std**2 + level**2)
            tau = eta**2 * (level_next / level) ** 2 * (level**2 - level_next**2)
            slope = shrink + math.sqrt(max(level_next**2 - tau, 0.0)) / level * (1 - shrink)
            variance = slope**2 * variance + tau
        worst = max(worst, abs(math.sqrt(variance) - std))
    return worst


def sampler_step_is_affine() -> float:
    """The steps of DDIM on Gaussian data have the slope and noise that the moments law uses."""
    std, level, level_next, eta = 0.4, 3.0, 1.7, 0.6
    one = torch.ones(1, dtype=torch.float64)
    gaussian = MixtureDenoiser(torch.zeros(1, 2, dtype=torch.float64), std * one, one)
    zero, unit = torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    step = DDIM(eta).step
    slope = step(gaussian, unit, level, level_next, RecordedNoise(zero))
    spread = step(gaussian, zero, level, level_next, RecordedNoise(unit))
    tau = eta**2 * (level_next / level) ** 2 * (level**2 - level_next**2)
    shrink = std**2 / (std**2 + level**2)
    expected = shrink + math.sqrt(level_next**2 - tau) / level * (1 - shrink)
    return max((slope - expected).abs().max().item(), (spread - math.sqrt(tau)).abs().max().item())


def _order_gap(sampler: Sampler, order: int) -> float:
    """Distance of the observed order from the promised one, on the mixture's flow."""
    mixture, highest, lowest, y = two_dimensional(), 5.0, 0.5, points(16, 5.0)
    path = Linear()
    fine = _interval(path, highest, lowest, 200)
    reference = _travel(OdeSampler(RungeKutta4(), path), mixture, y, fine)
    errors = [
        (_travel(sampler, mixture, y, _interval(path, highest, lowest, n)) - reference)
        .norm()
        .item()
        for n in (32, 64, 128)
    ]
    return max(abs(math.log2(a / b) - order) for a, b in pairwise(errors))


def _interval(path: Linear, highest: float, lowest: float, steps: int) -> list[float]:
    first, last = path.time(highest), path.time(lowest)
    return [path.at(first + (last - first) * i / steps).level for i in range(steps + 1)]


def _travel(sampler: Sampler, denoise: Denoiser, y: Tensor, grid: list[float]) -> Tensor:
    for level, level_next in pairwise(grid):
        y = sampler.step(denoise, y, level, level_next, item_noise(len(y)))
    return y


def sampler_orders() -> float:
    """Every solver of the table reaches its order."""
    orders = {"euler": 1, "heun": 2, "ddim": 1}
    return max(_order_gap(method.build(), orders[name]) for name, method in SOLVERS.items())


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
        "diffusion/ddim is ancestral",
        "DDIM with eta = 1 is DDPM's posterior step",
        1e-12,
        ddim_is_ancestral,
    ),
    Law(
        "diffusion/affine step",
        "DDIM on Gaussian data has its closed-form slope and noise",
        1e-12,
        sampler_step_is_affine,
    ),
    Law(
        "diffusion/moments",
        "for every eta DDIM ends at the variance of Gaussian data",
        1e-3,
        sampler_moments,
    ),
    Law(
        "diffusion/solver orders",
        "every solver reaches its order on a mixture's flow",
        0.1,
        sampler_orders,
    ),
    Law(
        "solvers/stepper orders", "every stepper reaches its order on x' = Ax", 0.1, stepper_orders
    ),
]
