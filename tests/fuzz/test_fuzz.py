"""A small share of `make fuzz`, with every kind in it."""

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("fuzz.py")


@pytest.mark.long
def test_a_hundredth_of_the_odd_inputs_ends_well():
    done = subprocess.run([sys.executable, FUZZ, "0.01"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of 9 kinds failed" in done.stdout
