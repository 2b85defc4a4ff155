"""One process at a time trains in a folder; the next one hears who it is."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from danlu.contracts import DanluError
from danlu.laws.training.small_players import OnePlayer, trainer
from danlu.training import Budget
from danlu.training.locking import LOCK, held

HOLDER = """
import sys
from pathlib import Path
from danlu.training.locking import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.long
def test_the_second_hears_who_the_first_is_and_comes_after_it(tmp_path, holder):
    who = f"process {holder.pid} on {socket.gethostname()}"
    before = os.listdir(tmp_path)
    run = trainer(OnePlayer, Budget(steps=3), folder=tmp_path)
    for _ in range(2):
        with pytest.raises(DanluError, match=rf"in use by {who}; wait for it"):
            run.run()
    assert set(os.listdir(tmp_path)) <= {*before, "environment.json"}
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert run.run().steps == 3


def test_a_holder_may_ask_again_and_lets_go(tmp_path):
    for _ in range(2):
        with held(tmp_path), held(tmp_path / "." / ""):
            assert (tmp_path / LOCK).read_text().startswith(f"process {os.getpid()} on ")
