"""Adaptive steps by torchode against fine fixed ones, sample by sample."""

import sys

import pytest
import torch

from danlu.contracts import DanluError
from danlu.generative.diffusion.adaptive import adaptive
from danlu.generative.diffusion.analytic import two_dimensional
from danlu.generative.diffusion.grids import logarithmic
from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.solvers.ode import OdeSolver
from danlu.generative.diffusion.solvers.solver import run
from danlu.laws.generative.diffusion.test_bed import item_noise, points
from danlu.solvers.steppers import RungeKutta4

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]


def test_it_reaches_the_flow_and_each_sample_takes_its_own_steps():
    mixture, y = two_dimensional(), 20.0 * points(6, 1.0)
    found = adaptive(mixture, y, 20.0, 1e-3, 1e-8)
    fine = [*logarithmic(Linear(), 300, 1e-3, 20.0)]
    exact = run(OdeSolver(RungeKutta4(), Linear()), mixture, y, fine, item_noise(6))
    torch.testing.assert_close(found.samples, exact, rtol=0.0, atol=1e-5)
    alone = adaptive(mixture, y[2:3], 20.0, 1e-3, 1e-8)
    torch.testing.assert_close(found.samples[2:3], alone.samples, rtol=0.0, atol=1e-10)
    assert found.steps[2] == alone.steps[0]
    assert len(found.steps.unique()) > 1
    coarse = adaptive(mixture, y, 20.0, 1e-3, 1e-3)
    assert (coarse.steps < found.steps).all()


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchode", None)
    with pytest.raises(DanluError, match="danlu\\[ode\\]"):
        adaptive(two_dimensional(), points(2), 9.0, 0.1)
