"""Steppers against torchdiffeq on a nonlinear field."""

from itertools import pairwise

import pytest
import torch
from torchdiffeq import odeint

from danlu.solvers import STEPPERS

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]

SAME_FORMULA = {"euler": "euler", "midpoint": "midpoint", "heun": "heun2"}


def pendulum(x, t):
    angle, speed = x.unbind(-1)
    return torch.stack(
        [speed, -torch.sin(angle) - 0.1 * speed + 0.3 * torch.cos(torch.tensor(t))], -1
    )


def peer_pendulum(t, x):
    return pendulum(x, float(t))


def end_point(name, x, times):
    stepper = STEPPERS[name].build()
    for t, t_next in pairwise(times):
        x = stepper.step(pendulum, x, t, t_next)
    return x


@pytest.mark.parametrize(("ours", "theirs"), SAME_FORMULA.items())
def test_the_same_formula_gives_the_same_numbers(ours, theirs):
    start, times = torch.randn(5, 2), torch.linspace(0.0, 2.0, 11)
    expected = odeint(peer_pendulum, start, times, method=theirs)[-1]
    torch.testing.assert_close(end_point(ours, start, times.tolist()), expected)


@pytest.mark.parametrize("name", STEPPERS)
def test_small_steps_reach_the_adaptive_solution(name):
    stepper, start = STEPPERS[name].build(), torch.randn(5, 2)
    ends = torch.tensor([0.0, 2.0])
    exact = odeint(peer_pendulum, start, ends, method="dopri8", rtol=1e-11, atol=1e-11)[-1]
    steps = {1: 2000, 2: 200, 4: 50}[stepper.order]
    found = end_point(name, start, torch.linspace(0.0, 2.0, steps + 1).tolist())
    torch.testing.assert_close(
        found, exact, rtol=0.0, atol={1: 2e-3, 2: 1e-4, 4: 1e-7}[stepper.order]
    )
