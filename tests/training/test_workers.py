"""Processes that work for another one end with it, even where it is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from danlu.contracts.workers import workers

BUSY = """
import os, sys, time
from danlu.contracts.workers import workers

def work(seconds):
    print(os.getpid(), flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10_000))
    return seconds

if __name__ == "__main__":
    with workers(2) as pool:
        list(pool.map(work, [300, 300, 300]))
"""
PATIENCE = 20.0
"""Seconds after which a process that is still there is an orphan."""


def alive(process):
    """Whether it runs; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def below(process):
    """Every process that this one has started, and those that these have."""
    children = Path(f"/proc/{process}/task/{process}/children")
    try:
        own = [int(each) for each in children.read_text().split()]
    except FileNotFoundError:
        own = []
    return [*own, *(other for each in own for other in below(each))]


def survivors(started):
    """Those that have not ended by themselves; they are ended here."""
    end = time.monotonic() + PATIENCE
    while (left := [each for each in started if alive(each)]) and time.monotonic() < end:
        time.sleep(0.05)
    for each in left:
        os.kill(each, signal.SIGKILL)
    return left


def killed_when(command, count, **around):
    """Kill the command once `count` of its processes are there; which of them are left."""
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **around)
    try:
        lines = [parent.stdout.readline() for _ in range(count)]
        started = below(parent.pid)
        assert len(started) >= 2, (lines, started)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    return survivors(started)


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="counts processes under /proc")


@needs_proc
@pytest.mark.long
def test_busy_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "busy.py"
    script.write_text(BUSY)
    assert killed_when([sys.executable, str(script)], 2) == []


@needs_proc
@pytest.mark.long
def test_a_killed_check_leaves_no_process_behind():
    command = [sys.executable, "-m", "danlu", "check"]
    # The first lines are the device and a law that was measured, so the workers are there.
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONUNBUFFERED": "1"}
    assert killed_when(command, 2, env=environment) == []


@needs_proc
@pytest.mark.long
def test_killed_while_words_are_counted(tmp_path):
    text = tmp_path / "text"
    text.write_text("a b c d e f g\n" * 300_000)
    command = [sys.executable, "-m", "danlu", "words", "fit", str(text), "--processes", "2"]
    parent = subprocess.Popen([*command, "--out", str(tmp_path / "out")], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE
        while len(below(parent.pid)) < 3 and parent.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        started = below(parent.pid)
        assert len(started) >= 2
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    assert survivors(started) == []


@pytest.mark.long
def test_what_workers_are_begun_with():
    with workers(1, torch.set_num_threads, (3,)) as pool:
        assert pool.submit(torch.get_num_threads).result() == 3
