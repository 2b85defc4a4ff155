"""`torchrun` starts several processes, and starts them again after a crash."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from danlu.training.checkpoint import load_newest

pytestmark = pytest.mark.long

CRASHES = int(os.environ.get("DANLU_CRASHES", "2"))
"""Crashes of one test; each is at another moment."""
STEPS = 30

TRAIN = """
import sys
from pathlib import Path

import torch

from danlu.data import ExampleStream, open_source
from danlu.generative import FAMILIES
from danlu.training import Budget, Plan, Policy, Trainer, TrainingRun
from danlu.training.joining import joined

folder, steps = Path(sys.argv[1]), int(sys.argv[2])
torch.manual_seed(0)
source = open_source("digits")
model = FAMILIES["latent-flow"].build(source.description)
stream = ExampleStream(source.training, source.description, batch=32, seed=0)
with joined("cpu") as processes:
    run = TrainingRun(folder=folder, checkpoint_steps=3, policy=Policy(), processes=processes)
    Trainer(model, stream, Plan(batch=32), Budget(steps=steps), run=run).run()
"""


def torchrun(*arguments, restarts=0):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    command += ["--max-restarts", str(restarts), "--monitor-interval", "0.1"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process):
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run of two processes that nothing disturbs, and its script."""
    folder = tmp_path_factory.mktemp("straight")
    script = folder / "train.py"
    script.write_text(TRAIN)
    finished(torchrun(script, folder / "run", STEPS))
    return script, folder / "run"


@pytest.mark.parametrize("crash", range(CRASHES))
def test_a_crashed_worker_is_started_again_and_ends_at_the_same_weights(tmp_path, straight, crash):
    script, undisturbed = straight
    folder = tmp_path / "run"
    process = torchrun(script, folder, STEPS, restarts=1)
    wait_for(process, lambda: newest(folder) >= 3 + 2 * crash)
    time.sleep(random.Random(crash).uniform(0, 0.1))
    victim = workers(process)[crash % 2]
    os.kill(victim, signal.SIGKILL)
    finished(process)
    a, b = (load_newest(place)[0] for place in (folder, undisturbed))
    assert a.meta.finished
    assert a.meta.total.steps == b.meta.total.steps == STEPS
    assert all(torch.equal(a.model[name], b.model[name]) for name in b.model)
    assert all(torch.equal(a.average[name], b.average[name]) for name in b.average)


def test_the_command_line_in_two_processes(tmp_path):
    folder = tmp_path / "run"
    base = ("-m", "danlu", "train", "--json")
    told = finished(torchrun(*base, "vae", "two-moons", "--steps", 12, "--out", folder))
    assert told.count('"run"') == 1, "only the leader reports"
    assert json.loads((folder / "checkpoints/000012/meta.json").read_text())["finished"]
    finished(torchrun(*base, "--resume", folder, "--steps", 20))
    alone = [sys.executable, *base, "vae", "two-moons", "--steps", "20", "--out", tmp_path / "one"]
    subprocess.run(alone, check=True, capture_output=True)
    two, one = (load_newest(place)[0] for place in (folder, tmp_path / "one"))
    assert two.meta.total.steps == one.meta.total.steps == 20
    assert {p.name for p in folder.iterdir()} == {p.name for p in (tmp_path / "one").iterdir()}


def test_ctrl_c_saves_and_stops_both(tmp_path):
    folder = tmp_path / "run"
    process = torchrun("-m", "danlu", "train", "vae", "two-moons", "--minutes", 10, "--out", folder)
    wait_for(process, lambda: (folder / "metrics.jsonl").exists())
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    saved, notices = load_newest(folder)
    assert saved is not None, output
    assert notices == []
    assert saved.meta.total.steps > 0


def test_other_verbs_run_in_one_process(tmp_path):
    process = torchrun("-m", "danlu", "race", "digits", "--out", tmp_path / "race")
    output, _ = process.communicate()
    assert "Only `danlu train` runs in several processes" in output
    assert not (tmp_path / "race").exists()


def wait_for(process, ready):
    """Until something is ready; the process must be alive all the time."""
    while not ready():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


def newest(folder: Path) -> int:
    """The largest step with a checkpoint."""
    names = [path.name for path in (folder / "checkpoints").glob("[0-9]*")]
    return max((int(name) for name in names), default=0)


def workers(process):
    """The processes that an agent has started, by rank."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(place.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            if parent == process.pid:
                variables = place.joinpath("environ").read_bytes().split(b"\0")
                rank = next(v for v in variables if v.startswith(b"RANK="))
                found[int(rank[5:])] = int(place.name)
        except (OSError, StopIteration):
            continue
    return [found[rank] for rank in sorted(found)]
