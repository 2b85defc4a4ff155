"""Every step of our solvers against diffusers' schedulers, on the exact denoiser of a mixture."""

from itertools import pairwise

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)

from danlu.generative import FAMILIES
from danlu.generative.diffusion import GRIDS
from danlu.generative.diffusion.analytic import two_dimensional
from danlu.generative.diffusion.solvers.ancestral import Ancestral
from danlu.generative.diffusion.solvers.ddim import DDIM
from danlu.generative.diffusion.solvers.dpm_multistep import DPMSolverMultistep
from danlu.generative.diffusion.solvers.dpm_sde import DPMSolverSDE
from danlu.generative.diffusion.solvers.ode import EulerSolver
from danlu.generative.diffusion.solvers.stochastic_heun import StochasticHeun
from danlu.generative.diffusion.solvers.unipc import UniPC
from danlu.laws.generative.diffusion.test_bed import RecordedNoise, points

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("float64"),
    # How diffusers hands its tables to numpy.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

STEPS = 20


class Drawn(RecordedNoise):
    """Fresh normal draws of a seeded generator, as a scheduler makes them."""

    def __init__(self, dtype=torch.float64):
        self.dtype = dtype
        self.generator = torch.Generator().manual_seed(1)

    def normal(self, *shape):
        return torch.randn(16, *shape, generator=self.generator, dtype=self.dtype)


def ours(solver, levels, dtype=torch.float64):
    """States y at the levels after the first; the last one is the denoised state."""
    mixture, y, memory, noise = two_dimensional(), levels[0] * points(16, 1.0), None, Drawn(dtype)
    states = []
    for level, level_next in pairwise(levels):
        if level_next == 0:
            y = mixture(y, level)
        else:
            y, memory = solver.step(mixture, y, level, level_next, noise, memory)
        states.append(y)
    return states


def theirs(scheduler, levels, scale, said, **options):
    """The same, from a scheduler whose state is `scale(level)` times y."""
    mixture, generator = two_dimensional(), torch.Generator().manual_seed(1)
    x, states = scale(levels[0]) * levels[0] * points(16, 1.0), []
    for t, (level, level_next) in zip(scheduler.timesteps, pairwise(levels), strict=True):
        y = x / scale(level)
        said_now = said(y, mixture(y, level), level)
        x = scheduler.step(said_now, t, x, generator=generator, **options).prev_sample
        states.append(x.double() / scale(level_next))
    return states


def noise_of(y, data, level):
    return (y - data) / level


def kept(level):
    return (1 + level**2) ** -0.5


def same(mine, peers, levels):
    assert len(mine) == len(peers)
    for y, peer, level in zip(mine, peers, levels[1:], strict=True):
        # In units of the state's size: their tables have float32's seven digits.
        assert (y - peer).abs().max().item() <= 1e-4 * (1 + level**2) ** 0.5


def table_levels(scheduler):
    scheduler.set_timesteps(STEPS)
    kept_shares = scheduler.alphas_cumprod[scheduler.timesteps].double()
    return [*((1 - kept_shares) / kept_shares).sqrt().tolist(), 0.0]


@pytest.mark.parametrize("steps", [10, 20, 50])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_whole_steps_of_the_table(spacing, steps):
    scheduler = DDIMScheduler(timestep_spacing=spacing)
    scheduler.set_timesteps(steps)
    path = FAMILIES["ddpm"].build().path
    grid = GRIDS[{"leading": "leading", "trailing": "uniform"}[spacing]].target
    levels = grid(path, steps, *path.levels())[:-1]
    # Their first level is number 0, ours number 1.
    found = [round(1000 * path.time(level), 6) - 1 for level in levels]
    assert found == scheduler.timesteps.tolist()


@pytest.mark.parametrize("variance", ["small", "large"])
def test_ddpm(variance):
    scheduler = DDPMScheduler(clip_sample=False, variance_type=f"fixed_{variance}")
    levels = table_levels(scheduler)
    same(ours(Ancestral(variance), levels), theirs(scheduler, levels, kept, noise_of), levels)


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_ddim(eta):
    scheduler = DDIMScheduler(clip_sample=False)
    levels = table_levels(scheduler)
    same(ours(DDIM(eta), levels), theirs(scheduler, levels, kept, noise_of, eta=eta), levels)


def test_euler():
    scheduler = EulerDiscreteScheduler(use_karras_sigmas=True)
    scheduler.set_timesteps(STEPS)
    levels = scheduler.sigmas.double().tolist()
    for solver in (DDIM(), EulerSolver()):
        same(ours(solver, levels), theirs(scheduler, levels, lambda level: 1.0, noise_of), levels)
        scheduler.set_timesteps(STEPS)


def test_heun():
    scheduler = HeunDiscreteScheduler(use_karras_sigmas=True)
    scheduler.set_timesteps(STEPS)
    levels = scheduler.sigmas.double().unique_consecutive().tolist()
    mixture, x, states = two_dimensional(), levels[0] * points(16, 1.0), []
    calls = iter(scheduler.timesteps)
    for level, level_next in pairwise(levels):
        for at in (level, level_next) if level_next > 0 else (level,):
            said = noise_of(x, mixture(x, at), at)
            x = scheduler.step(said, next(calls), x).prev_sample
        states.append(x)
    same(ours(StochasticHeun(), levels), states, levels)


@pytest.mark.parametrize(
    ("solver", "scheduler"),
    [
        (DPMSolverMultistep(), DPMSolverMultistepScheduler(use_karras_sigmas=True)),
        (
            DPMSolverSDE(),
            DPMSolverMultistepScheduler(use_karras_sigmas=True, algorithm_type="sde-dpmsolver++"),
        ),
        (UniPC(2), UniPCMultistepScheduler(use_karras_sigmas=True, solver_order=2)),
        (UniPC(3), UniPCMultistepScheduler(use_karras_sigmas=True, solver_order=3)),
    ],
    ids=["dpm-2m", "dpm-2m-sde", "unipc-2", "unipc-3"],
)
def test_exponential_integrators(solver, scheduler):
    scheduler.set_timesteps(STEPS)
    levels = scheduler.sigmas.double().tolist()
    if isinstance(scheduler, UniPCMultistepScheduler):
        scheduler.step = in_single_precision(scheduler.step)
    # Their SDE draws in float32 whatever the state is.
    mine = ours(solver, levels, torch.float32)
    peers = theirs(scheduler, levels, kept, noise_of)
    # Theirs ends with steps of falling order.
    whole = STEPS + 1 - scheduler.config.solver_order
    same(mine[:whole], peers[:whole], levels[: whole + 1])


def in_single_precision(step):
    def stepped(said, t, x, generator):
        torch.set_default_dtype(torch.float32)  # their linear solve mixes types otherwise
        try:
            return step(said, t, x)
        finally:
            torch.set_default_dtype(torch.float64)

    return stepped


def test_flow_matching_euler():
    scheduler = FlowMatchEulerDiscreteScheduler()
    times = torch.linspace(0.98, 0.02, STEPS)
    scheduler.set_timesteps(sigmas=times.tolist())
    levels = [t / (1 - t) for t in scheduler.sigmas.double().tolist()]
    peers = theirs(
        scheduler,
        levels,
        lambda level: 1 / (1 + level),
        lambda y, data, level: noise_of(y, data, level) - data,
    )
    same(ours(EulerSolver(), levels), peers, levels)
