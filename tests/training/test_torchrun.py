"""`torchrun` starts processes on one node or two, and starts them again after a crash."""

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
from PIL import Image

from danlu.training.checkpoint import load_newest

pytestmark = pytest.mark.long

CRASHES = int(os.environ.get("DANLU_CRASHES", "2"))
"""Crashes of one test; each is at another moment."""
STEPS = 30
ADDRESSES = {"a": "10.213.77.1", "b": "10.213.77.2"}
"""Of two nodes, each with a network of its own."""
PORT = 29411

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

COUNT = """
import json
import os
import sys
from pathlib import Path

import danlu.data.pictures as pictures
from danlu.cli.main import main

folder, seen, maps = Path(sys.argv[1]), [], []
decode, mapped = pictures.decode, pictures._mapped


def counted(path, size, *, white):
    seen.append(path)
    return decode(path, size, white=white)


def looked_at(path, facts):
    found = mapped(path, facts)
    maps.append(str(path) in Path("/proc/self/maps").read_text())
    return found


pictures.decode, pictures._mapped = counted, looked_at
images, out = str(folder / "images"), str(folder / "run")
code = main(["train", "vae", images, "--size", "16", "--steps", "2", "--json", "--out", out])
told = {"decoded": len(seen), "mapped": maps}
(folder / f"rank-{os.environ['RANK']}").write_text(json.dumps(told))
sys.exit(code)
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


def test_a_folder_is_decoded_by_the_leader_alone(tmp_path, monkeypatch):
    """The other process maps what the leader has prepared, and holds no copy of it."""
    monkeypatch.setenv("DANLU_CACHE", str(tmp_path / "cache"))
    (tmp_path / "images").mkdir()
    noise = torch.randint(256, (20, 16, 16), dtype=torch.uint8).numpy()
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    (tmp_path / "count.py").write_text(COUNT)
    finished(torchrun(tmp_path / "count.py", tmp_path))
    told = {path.name: json.loads(path.read_text()) for path in tmp_path.glob("rank-*")}
    assert {name: each["decoded"] for name, each in told.items()} == {"rank-0": 20, "rank-1": 0}
    assert all(each["mapped"] == [True] for each in told.values())


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
        assert process.poll() is None, process.stdout and process.communicate()[0]
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


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def nodes():
    """Two network namespaces that a cable joins; their names."""
    names = {each: f"danlu-{os.getpid()}-{each}" for each in ADDRESSES}
    ends = {each: f"dl{os.getpid() % 10**8}{each}" for each in ADDRESSES}
    try:
        for name in names.values():
            ip("netns", "add", name)
        ip("link", "add", ends["a"], "type", "veth", "peer", "name", ends["b"])
        for each, name in names.items():
            ip("link", "set", ends[each], "netns", name)
            ip("-n", name, "addr", "add", f"{ADDRESSES[each]}/24", "dev", ends[each])
            ip("-n", name, "link", "set", ends[each], "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield {each: (names[each], ends[each]) for each in ADDRESSES}
    finally:
        for name in names.values():
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


class Node:
    """The agent of one node, with one worker."""

    def __init__(self, nodes, each, log, arguments, least=2):
        name, interface = nodes[each]
        command = ["ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run"]
        command += ["--nnodes", f"{least}:2", "--nproc-per-node", "1", "--max-restarts", "3"]
        command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{ADDRESSES['a']}:{PORT}"]
        host = "is_host=1," if each == "a" else "is_host=0,"
        command += ["--rdzv-conf", host + "last_call_timeout=3,join_timeout=120"]
        command += ["--local-addr", ADDRESSES[each], "--monitor-interval", "0.1"]
        self.log = log
        variables = {
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": interface,
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        }
        with log.open("a") as told:
            self.process = subprocess.Popen(
                [*command, *map(str, arguments)],
                env={**os.environ, **variables},
                stdout=told,
                stderr=subprocess.STDOUT,
            )

    @property
    def worker(self):
        return workers(self.process)[0]

    def finish(self, seconds=240):
        assert self.process.wait(seconds) == 0, self.log.read_text()

    def lose(self):
        """The whole node, at once."""
        for victim in (self.process.pid, self.worker):
            os.kill(victim, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def started(nodes, tmp_path):
    """Starts an agent; what still runs at the end is killed."""
    running = []

    def start(each, arguments, **facts):
        node = Node(nodes, each, tmp_path / f"{each}.log", arguments, **facts)
        running.append(node)
        return node

    yield start
    for node in running:
        if node.process.poll() is None:
            node.lose()


def test_a_killed_worker_of_one_node_is_joined_again_and_ends_at_the_same_weights(
    started, tmp_path
):
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    for name, kill in (("undisturbed", False), ("disturbed", True)):
        pair = [started(each, (script, tmp_path / name, STEPS)) for each in ADDRESSES]
        if kill:
            wait_for(pair[0].process, lambda: newest(tmp_path / "disturbed") >= 6)
            os.kill(pair[1].worker, signal.SIGKILL)
        for node in pair:
            node.finish()
    a, b = (load_newest(tmp_path / name)[0] for name in ("undisturbed", "disturbed"))
    assert a.meta.total.steps == b.meta.total.steps == STEPS
    assert all(torch.equal(a.model[name], b.model[name]) for name in b.model)


def test_the_command_line_goes_on_without_a_lost_node_and_with_one_that_comes_back(
    started, tmp_path
):
    folder = tmp_path / "run"
    command = ("-m", "danlu", "train", "vae", "digits", "--device", "cpu")
    command += ("--minutes", 0.4, "--out", folder)
    first, second = (started(each, command, least=1) for each in ADDRESSES)
    wait_for(first.process, lambda: (folder / "metrics.jsonl").exists())
    both = first.worker
    second.lose()
    wait_for(first.process, lambda: workers(first.process) not in ([], [both]))
    third = started("b", command, least=1)
    first.finish()
    third.finish()
    checkpoint, notices = load_newest(folder)
    assert checkpoint.meta.finished, first.log.read_text()
    assert notices == []
    assert checkpoint.meta.total.seconds > 20, "the budget is 24 seconds of training"
