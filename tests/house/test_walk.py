"""The walk of a reader to the first optimiser step stays as short as it has become."""

import subprocess
import sys
from pathlib import Path

import pytest

WALK = Path(__file__).with_name("walk.py")
FILES, SWITCHES = 67, 352


def walked(*arguments):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(WALK), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.long
def test_the_walk_is_no_longer_than_it_was():
    *rows, last = walked()
    files, switches = (int(part.split()[0]) for part in last.split(", ")[:2])
    assert len(rows) == files
    assert any("training/loop.py" in row for row in rows), "training was never reached"
    assert files <= FILES
    assert switches <= SWITCHES
