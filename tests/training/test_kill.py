"""SIGKILL at any moment, also while a checkpoint is written, changes no bit of the result."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from danlu.experiments.checks.small_players import OnePlayer, TwoPlayers, TwoStages, trainer
from danlu.training import Budget, checkpoint
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


FAMILY = """
import sys
from pathlib import Path

import torch

from danlu.data import ExampleStream, open_source
from danlu.generative import FAMILIES
from danlu.training import Budget, Plan, Trainer, TrainingRun

family, folder, steps = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
torch.manual_seed(0)
source = open_source("digits")
model = FAMILIES[family].build(source.description)
stream = ExampleStream(source.training, source.description, batch=32, seed=0)
run = TrainingRun(folder=folder, seed=0, checkpoint_steps=1)
Trainer(model, stream, Plan(batch=32), Budget(steps=steps), run=run).run()
"""


@pytest.mark.long
@pytest.mark.parametrize("family", ["vae", "gan"])
def test_a_killed_family_ends_as_if_nothing_had_happened(tmp_path, family):
    script = tmp_path / "train.py"
    script.write_text(FAMILY)
    folder, straight = tmp_path / "killed", tmp_path / "straight"

    def start(place):
        return subprocess.Popen([sys.executable, script, family, place, "40"])

    assert start(straight).wait() == 0
    kills = 0
    while True:
        process = start(folder)
        if kills < 3:
            wait_for_progress(process, folder, 8)
            time.sleep(random.uniform(0.0, 0.1))
        if kills < 3 and process.poll() is None:
            process.kill()
            process.wait()
            kills += 1
            continue
        assert process.wait() == 0
        break
    assert kills == 3
    assert_same_result(folder, straight)


def wait_for_progress(process: subprocess.Popen, folder: Path, steps: int) -> None:
    """Until a process has written some checkpoints."""
    before = newest(folder)
    while process.poll() is None and newest(folder) < before + steps:
        time.sleep(0.005)


def newest(folder: Path) -> int:
    """The largest step with a checkpoint."""
    names = [path.name for path in (folder / "checkpoints").glob("[0-9]*")]
    return max((int(name) for name in names), default=0)
