"""Paths, likelihoods, flows and reverse equations against flow_matching, torchdiffeq, torchsde."""

from itertools import pairwise

import pytest
import torch
from flow_matching.path.scheduler import CondOTScheduler, CosineScheduler, VPScheduler
from flow_matching.solver import ODESolver
from torchdiffeq import odeint
from torchsde import BrownianInterval, sdeint

from danlu.generative.diffusion import PATHS
from danlu.generative.diffusion.analytic import two_dimensional
from danlu.generative.diffusion.denoiser import probability_flow
from danlu.generative.diffusion.grids import logarithmic
from danlu.generative.diffusion.likelihood import (
    dense_at_ends,
    exact_trace,
    flow,
    gaussian_log_density,
)
from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.processes import backward
from danlu.generative.diffusion.solvers.euler_maruyama import EulerMaruyama
from danlu.generative.diffusion.solvers.ode import OdeSolver
from danlu.generative.diffusion.solvers.solver import run
from danlu.laws.generative.diffusion.test_bed import RecordedNoise, points
from danlu.solvers.steppers import RungeKutta4

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]

FIRST, LAST = 1e-3, 1 - 1e-3
SCHEDULERS = {
    "linear": CondOTScheduler(),
    "trigonometric": CosineScheduler(),
    "vp-linear": VPScheduler(beta_min=0.1, beta_max=20.0),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_paths_have_flow_matchings_coefficients(name):
    path, t = PATHS[name].build(), torch.linspace(0.01, 0.99, 23)
    ours, theirs = path.points(t), SCHEDULERS[name](1 - t)  # their data is at time 1
    torch.testing.assert_close(ours.alpha, theirs.alpha_t, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(ours.sigma, theirs.sigma_t, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(ours.alpha_rate, -theirs.d_alpha_t, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(ours.sigma_rate, -theirs.d_sigma_t, rtol=1e-10, atol=1e-12)
    found = 1 - SCHEDULERS[name].snr_inverse(1 / ours.level)
    torch.testing.assert_close(path.times(ours.level), found, rtol=1e-8, atol=1e-9)


def test_likelihoods_are_flow_matchings():
    drift, x = probability_flow(two_dimensional(), Linear()), points(5, 1.0)
    flowed = flow(drift, x, dense_at_ends(200, FIRST, LAST), exact_trace)
    ours = flowed.mean() + gaussian_log_density(flowed.end, LAST)

    def velocity(x, t):
        # Their times go from noise at 0 to data at 1; the ends are ours, and so are steps beyond.
        t = min(1.0, max(0.0, float(t)))
        return -(LAST - FIRST) * drift(x, FIRST + (LAST - FIRST) * (1 - t))

    end, theirs = ODESolver(velocity).compute_likelihood(
        x,
        lambda z: gaussian_log_density(z, LAST),
        step_size=None,
        method="dopri8",  # steps beyond the end, as lower orders do, would leave the path
        atol=1e-9,
        rtol=1e-9,
        time_grid=torch.tensor([1.0, 0.0]),
        exact_divergence=True,
    )
    torch.testing.assert_close(flowed.end, end, rtol=0.0, atol=1e-6)
    torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("name", ["linear", "trigonometric", "sub-vp", "edm"])
def test_the_flow_of_every_path_ends_where_torchdiffeq_does(name):
    path, highest, lowest = PATHS[name].build(), 20.0, 1e-2
    drift, y = probability_flow(two_dimensional(), path), highest * points(6, 1.0)
    times = torch.tensor([path.time(highest), path.time(lowest)])
    start = path.at(float(times[0])).alpha * y
    theirs = odeint(
        lambda t, x: drift(x, float(t)), start, times, method="dopri8", rtol=1e-9, atol=1e-9
    )[-1]
    levels = logarithmic(path, 300, lowest, highest)[:-1]
    ours = run(OdeSolver(RungeKutta4(), path), two_dimensional(), y, levels, RecordedNoise(y))
    torch.testing.assert_close(ours * path.at(float(times[1])).alpha, theirs, rtol=0.0, atol=1e-5)


class Increments(RecordedNoise):
    """The draws behind the increments of a given Brownian motion."""

    def __init__(self, motion, times):
        self.steps = iter(pairwise(times))
        self.motion = motion

    def normal(self, *shape):
        first, last = next(self.steps)
        return self.motion(first, last) / (last - first) ** 0.5


class Reverse(torch.nn.Module):
    """Our reverse equation as torchsde reads one, its time running forwards."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, process, latest):
        super().__init__()
        self.process, self.latest = process, latest

    def f(self, s, x):
        return -self.process.drift(x, self.latest - float(s))

    def g(self, s, x):
        return torch.full_like(x, self.process.diffusion(self.latest - float(s)))


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_reverse_equations_walk_as_torchsdes(share):
    path, steps, n = PATHS["vp-linear"].build(), 48, 8
    latest, size = 7 / 8, 1 / 64  # exact, so that both ask for the same increments
    start = points(n, 1.0)
    process = backward(two_dimensional(), path, share)
    times = [i * size for i in range(steps + 1)]
    motion = BrownianInterval(0.0, times[-1], size=(n, 2), dtype=torch.float64, entropy=3)
    theirs = sdeint(
        Reverse(process, latest), start, torch.tensor(times), bm=motion, method="euler", dt=size
    )
    falling = [latest - s for s in times]
    states = process.walk(start, falling, Increments(motion, times))
    torch.testing.assert_close(states, theirs, rtol=1e-8, atol=1e-8)
    levels = [path.at(t).level for t in falling]
    y = start / path.at(latest).alpha
    solver = EulerMaruyama(share=lambda level: share, path=path)
    end = run(solver, two_dimensional(), y, levels, Increments(motion, times))
    torch.testing.assert_close(end * path.at(falling[-1]).alpha, theirs[-1], rtol=1e-6, atol=1e-6)
