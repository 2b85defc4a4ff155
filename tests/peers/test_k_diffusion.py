"""Grids and samplers against k-diffusion's formulas, on the exact denoiser of a mixture."""

import math
from itertools import pairwise

import pytest
import torch

from danlu.generative.diffusion.analytic import two_dimensional
from danlu.generative.diffusion.grids import karras, logarithmic
from danlu.generative.diffusion.paths import EDM
from danlu.generative.diffusion.solvers.ancestral import Ancestral
from danlu.generative.diffusion.solvers.ddim import DDIM
from danlu.generative.diffusion.solvers.dpm_multistep import DPMSolverMultistep
from danlu.generative.diffusion.solvers.dpm_multistep_3 import DPMSolverMultistep3
from danlu.generative.diffusion.solvers.dpm_sde import DPMSolverSDE
from danlu.generative.diffusion.solvers.dpm_singlestep import DPMSolverSinglestep
from danlu.generative.diffusion.solvers.linear_multistep import LinearMultistep
from danlu.generative.diffusion.solvers.ode import EulerSolver
from danlu.generative.diffusion.solvers.solver import run
from danlu.generative.diffusion.solvers.stochastic_heun import StochasticHeun
from danlu.laws.generative.diffusion.test_bed import RecordedNoise, points
from danlu_bench.peers import peer_alone

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]

ROWS, STEPS, LOWEST, HIGHEST = 16, 15, 0.06, 30.0


@pytest.fixture(scope="module")
def sampling():
    """Its samplers alone: the package asks for torchvision, trackers and image libraries."""
    trailing = {"append_dims": lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]}
    return peer_alone("k_diffusion.sampling", {"k_diffusion.utils": trailing})


class Drawn(RecordedNoise):
    """Normal draws one after the other; theirs and ours take the same ones."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(1)

    def normal(self, *shape):
        return torch.randn(ROWS, *shape, generator=self.generator)

    def __call__(self, level, level_next):
        return self.normal(2)


def model(y, level):
    return two_dimensional()(y, level)


def both(solver, sample, levels, **options):
    start = levels[0] * points(ROWS, 1.0)
    ours = run(solver, two_dimensional(), start, levels, Drawn())
    return ours, sample(model, start, torch.tensor(levels), disable=True, **options)


def test_grids(sampling):
    ours = torch.tensor(karras(EDM(), STEPS, LOWEST, HIGHEST))
    theirs = sampling.get_sigmas_karras(STEPS, LOWEST, HIGHEST)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=0.0)
    ours = torch.tensor(logarithmic(EDM(), STEPS, LOWEST, HIGHEST))
    theirs = sampling.get_sigmas_exponential(STEPS, LOWEST, HIGHEST)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=0.0)


@pytest.mark.parametrize(
    ("solver", "name", "options"),
    [
        (EulerSolver(), "sample_euler", {}),
        (DDIM(), "sample_euler", {}),
        (StochasticHeun(), "sample_heun", {}),
        (DPMSolverMultistep(), "sample_dpmpp_2m", {}),
        (DPMSolverSinglestep(), "sample_dpmpp_2s_ancestral", {"eta": 0.0}),
        (Ancestral(), "sample_euler_ancestral", {"noise_sampler": True}),
        (DDIM(0.6), "sample_euler_ancestral", {"noise_sampler": True, "eta": 0.6}),
        (DPMSolverSDE(), "sample_dpmpp_2m_sde", {"noise_sampler": True}),
        (
            DPMSolverSDE(lambda level: 0.5),
            "sample_dpmpp_2m_sde",
            {"noise_sampler": True, "eta": 0.5},
        ),
    ],
    ids=["euler", "ddim", "heun", "2m", "2s", "ancestral", "ddim-0.6", "2m-sde", "2m-sde-half"],
)
def test_samplers(sampling, solver, name, options):
    options = {**options, "noise_sampler": Drawn()} if "noise_sampler" in options else options
    levels = karras(EDM(), STEPS, LOWEST, HIGHEST)
    ours, theirs = both(solver, getattr(sampling, name), levels, **options)
    torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-9)


def test_heun_with_churn(sampling, monkeypatch):
    levels, drawn = karras(EDM(), STEPS, LOWEST, HIGHEST)[:-1], Drawn()
    monkeypatch.setattr(torch, "randn_like", lambda x: drawn.normal(2))
    # Theirs is told the sum over all steps.
    churned = {"s_churn": 0.2 * (len(levels) - 1)}
    ours, theirs = both(StochasticHeun(0.2), sampling.sample_heun, levels, **churned)
    torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-9)


def test_linear_multistep(sampling):
    """Started alike, a step of three slopes has their coefficients."""
    mixture, levels = two_dimensional(), karras(EDM(), STEPS, LOWEST, HIGHEST)[:-1]
    y, known, i = levels[0] * points(ROWS, 1.0), [], 0
    for i, (level, level_next) in enumerate(pairwise(levels)):
        slope = (y - mixture(y, level)) / level
        known = [(level, slope), *known][:3]
        if len(known) == 3:
            ours, _ = LinearMultistep().step(mixture, y, level, level_next, Drawn(), known[1:])
            coefficients = [sampling.linear_multistep_coeff(3, levels, i, j) for j in range(3)]
            theirs = y + sum(c * s for c, (_, s) in zip(coefficients, known, strict=True))
            torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-9)
        y = y + (level_next - level) * slope
    assert i == STEPS - 2


def test_third_order_multistep(sampling):
    """Started alike, ours has twice the last term of theirs: the integral of the parabola.

    With half of it theirs is of second order.
    """
    levels, seen = karras(EDM(), STEPS, LOWEST, HIGHEST), []
    both(
        DPMSolverMultistep3(),
        sampling.sample_dpmpp_3m_sde,
        levels,
        eta=0.0,
        noise_sampler=Drawn(),
        callback=lambda facts: seen.append((facts["x"].clone(), facts["denoised"].clone())),
    )
    assert len(seen) == STEPS
    for i in range(2, STEPS - 1):
        (_, two), (_, one), (y, now), (theirs, _) = seen[i - 2 : i + 2]
        before, middle, h = (math.log(levels[j] / levels[j + 1]) for j in (i - 2, i - 1, i))
        curve = (now - one) / (middle / h) - (one - two) / (before / h)
        curve = curve / ((before + middle) / h)
        theirs = theirs - ((math.expm1(-h) / h + 1) / h - 0.5) * curve
        memory = ((levels[i - 1], one), (levels[i - 2], two))
        ours, _ = DPMSolverMultistep3().step(
            two_dimensional(), y, levels[i], levels[i + 1], Drawn(), memory
        )
        torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-9)
