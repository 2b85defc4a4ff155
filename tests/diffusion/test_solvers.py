"""Solvers of one's own: what is checked, what a broken one fails, and errors of bad settings."""

import pytest
import torch

import danlu
from danlu.cli.main import main
from danlu.contracts import DanluError
from danlu.contracts.noise import ItemNoise
from danlu.generative.diffusion import SOLVERS
from danlu.generative.diffusion.analytic import two_dimensional
from danlu.generative.diffusion.grids import karras
from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.solvers.ddim import DDIM
from danlu.generative.diffusion.solvers.predictor_corrector import PredictorCorrector
from danlu.generative.diffusion.solvers.solver import Solver, run
from danlu.generative.diffusion.solvers.unipc import UniPC


class Mean(Solver):
    """Claims what it does not do: it drags samples to the mean of their batch."""

    order = 2
    calls = 2

    def step(self, denoise, y, level, level_next, noise, memory):
        data = denoise(y, level)
        mixed = 0.9 * data + 0.1 * data.mean(0, keepdim=True)
        return mixed + level_next / level * (y - mixed), None


def failed(target):
    return {row.law.name.partition("/")[2] for row in danlu.check.solver(target) if not row.holds}


def test_a_solver_of_ones_own_is_checked_by_what_it_declares():
    assert failed(DDIM) == set()
    assert failed(Mean) >= {"Mean/apart", "Mean/evaluations", "Mean/order"}


def test_the_command_line_checks_one(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine_solver.py").write_text(
        "from danlu.generative.diffusion.solvers.ddim import DDIM\n\nclass Mine(DDIM):\n    pass\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["check", "--solver", "mine_solver:Mine", "--json"]) == 0
    assert "Mine/order" in capsys.readouterr().out
    assert main(["check", "vae", "--solver", "mine_solver:Mine"]) == 2
    assert "no other target beside it" in capsys.readouterr().err


def test_what_makes_no_solver_is_one_line():
    with pytest.raises(DanluError, match="makes no Solver, but a Linear"):
        danlu.check.solver(Linear)


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda: UniPC(4), "1, 2 or 3 denoised states"), (lambda: PredictorCorrector(1.0), "ratio")],
)
def test_bad_settings_are_one_line(make, message):
    with pytest.raises(DanluError, match=message):
        make()


@pytest.mark.parametrize("name", SOLVERS)
def test_samples_keep_the_type_of_the_start(name):
    solver, exact = SOLVERS[name].build(), two_dimensional()

    def denoise(y, level):
        return exact(y.double(), level).to(y)

    y = run(
        solver, denoise, torch.ones(3, 2), karras(Linear(), 5, 0.1, 9.0), ItemNoise(0, range(3))
    )
    assert y.dtype == torch.float32
    assert y.isfinite().all()
