"""Runs of earlier versions are opened, draw what they drew, and are gone on with."""

import shutil

import old_runs
import pytest
import torch
from safetensors.torch import load_file

from danlu.generative import FAMILIES
from danlu.runs.folders import open_run
from danlu.training.checkpoint import load_average

RUNS = sorted(folder.name for folder in old_runs.OLD.iterdir())
QUICK = ("lm", "vq")
"""A family of one stage and one of two; the others resume in the long tests."""


@pytest.fixture(autouse=True)
def _home(monkeypatch):
    monkeypatch.chdir(old_runs.HOME)


def test_there_is_a_run_of_every_family_there_was():
    assert len(RUNS) == 19
    assert set(RUNS) <= set(FAMILIES), "a family is gone, and its runs with it"


@pytest.mark.parametrize("family", RUNS)
def test_it_draws_what_it_drew(family):
    found = old_runs.drawn(old_runs.OLD / family)
    then = load_file(old_runs.OLD / family / old_runs.DRAWN)["x"]
    torch.testing.assert_close(found, then, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize(
    "family", [pytest.param(each, marks=() if each in QUICK else pytest.mark.long) for each in RUNS]
)
def test_it_is_gone_on_with(family, tmp_path):
    """One more step of a run that was finished, by the clock of the longer budget."""
    from danlu.cli.main import main

    folder = shutil.copytree(old_runs.OLD / family, tmp_path / family)
    before, weights, _ = load_average(folder)
    steps = before.total.steps + 1
    assert main(["train", "--resume", str(folder), "--steps", str(steps)]) == 0
    after, moved, notices = load_average(folder)
    assert not notices
    assert after.finished
    assert after.total.steps == steps
    assert weights.keys() == moved.keys()
    assert any(not torch.equal(weights[name], moved[name]) for name in weights)
    assert open_run(folder).config.budget.steps == steps
