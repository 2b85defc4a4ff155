"""SIGKILL at any moment, also while a checkpoint is written, changes no bit of the result."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from danlu.data import ExampleStream, open_source
from danlu.generative import FAMILIES
from danlu.laws.training.small_players import OnePlayer, TwoPlayers, TwoStages, trainer
from danlu.training import Budget, Plan, Policy, Trainer, TrainingRun, checkpoint
from danlu.training.checkpoint import load_newest

STEPS = 14


def train(kind, folder):
    """A run that saves after every step and writes its checkpoints slowly."""
    fast = torch.save

    def slow(state, path):
        time.sleep(0.01)
        fast(state, path)

    checkpoint.torch.save = slow
    try:
        trainer(kind, Budget(steps=STEPS), folder=folder, checkpoint_steps=1).run()
    finally:
        checkpoint.torch.save = fast


def killed(work, moment):
    """Run `work` in a forked process and kill it when `moment` has come; True if it was alive."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    while not moment():
        time.sleep(0.0005)
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def assert_same_result(folder, straight):
    a, b = (load_newest(place)[0] for place in (folder, straight))
    assert a.meta.finished
    assert a.meta.total.steps == b.meta.total.steps
    assert equal(a.model, b.model)
    assert equal(a.average, b.average)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("kind", [OnePlayer, TwoPlayers, TwoStages])
def test_killed_while_saving_and_while_training(tmp_path, kind):
    folder, straight = tmp_path / "killed", tmp_path / "straight"
    home = folder / "checkpoints"
    train(kind, straight)

    def saving():
        return any(home.glob(".writing-*/average.safetensors"))

    def later():
        end = time.monotonic() + random.uniform(0.05, 0.15)
        return lambda: time.monotonic() > end

    for moment in (saving, later(), saving):
        # The first rounds are let through, so that there is something to save.
        assert killed(lambda: train(kind, folder), moment)
    left = list(home.glob(".writing-*"))
    assert left, "the last kill came in the middle of a checkpoint"
    train(kind, folder)
    assert not list(home.glob(".writing-*"))
    assert_same_result(folder, straight)


KILLS = int(os.environ.get("DANLU_KILLS", "2"))
"""Kills of each family; five of them for the six families of a race make thirty."""
FAMILY_STEPS = 30


def train_family(family, folder):
    """A run on digits that saves after every step."""
    torch.manual_seed(0)
    source = open_source("digits")
    model = FAMILIES[family].build(source.description)
    stream = ExampleStream(source.training, source.description, batch=16, seed=0)
    run = TrainingRun(folder=folder, seed=0, checkpoint_steps=1, policy=Policy())
    Trainer(model, stream, Plan(batch=16), Budget(steps=FAMILY_STEPS), run=run).run()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_killed_family_ends_as_if_nothing_had_happened(tmp_path, family):
    folder, straight = tmp_path / "killed", tmp_path / "straight"
    began = time.monotonic()
    train_family(family, straight)
    step_seconds = (time.monotonic() - began) / FAMILY_STEPS
    for _ in range(KILLS):
        # At a random moment within one of the next steps.
        reached = newest(folder) + random.randint(0, FAMILY_STEPS // (KILLS + 2))
        moment = after(folder, reached, random.uniform(0.0, step_seconds))
        assert killed(lambda: train_family(family, folder), moment)
    train_family(family, folder)
    assert_same_result(folder, straight)


def after(folder: Path, step: int, seconds: float):
    """Whether some seconds have passed since a step was saved."""
    since = []

    def come() -> bool:
        if newest(folder) < step:
            return False
        since.append(time.monotonic())
        return since[-1] - since[0] >= seconds

    return come


def newest(folder: Path) -> int:
    """The largest step with a checkpoint."""
    names = [path.name for path in (folder / "checkpoints").glob("[0-9]*")]
    return max((int(name) for name in names), default=0)
