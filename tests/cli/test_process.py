"""The command line as a process: streams, signals and exit codes that no test inside can see."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
DANLU = (sys.executable, "-m", "danlu")
TRAIN = ("train", "vae", "two-moons", "--minutes", "9", "--out", "run", "--set", "model.width=8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(*arguments, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([*DANLU, *arguments], **options)


def ended(process, code):
    """Whether it ended with a code and one plain line; its output."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, (out, err)
    assert "Traceback" not in f"{out}{err}"
    return out, err


def listens(process, number):
    """Whether the process has taken a signal: its bit in the mask that the system shows."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return int(caught.split()[1], 16) >> (number - 1) & 1


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.1, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_program_is_loaded_is_one_line_and_130(folder, delay, number):
    process = start("check", "loss")
    while not listens(process, signal.SIGTERM):
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (0, 130), err
    assert len(err.splitlines()) == (process.returncode == 130), err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_training_that_is_stopped_is_saved_and_goes_on(folder, number):
    with start(*TRAIN) as process:
        while not Path("run/metrics.jsonl").exists():
            time.sleep(0.05)
        process.send_signal(number)
        out, _ = ended(process, 130)
    assert "is saved. To go on: danlu train --resume run" in out
    assert list(Path("run/checkpoints").glob("0*"))
    assert "going" not in ended(start("train", "--resume", "run", "--minutes", "0.001"), 2)[0]


def test_a_hang_up_under_nohup_is_not_heard(folder):
    ignoring = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with start("check", "loss", preexec_fn=ignoring) as process:
        while not listens(process, signal.SIGTERM):
            time.sleep(0.001)
        process.send_signal(signal.SIGHUP)
        assert "laws hold" in ended(process, 0)[0]


def test_a_second_resume_is_refused_by_name(folder):
    with start(*TRAIN) as process:
        while not Path("run/metrics.jsonl").exists():
            time.sleep(0.05)
        before = Path("run/config.yaml").read_text()
        _, err = ended(start("train", "--resume", "run", "--minutes", "99"), 2)
        assert f"run is in use by process {process.pid} on " in err
        assert Path("run/config.yaml").read_text() == before
        process.send_signal(signal.SIGINT)
        ended(process, 130)


@pytest.mark.parametrize(
    "arguments", [("list",), ("explain", "vae"), ("list", "--json"), ("--help",)]
)
def test_a_reader_that_leaves_is_no_error(folder, arguments):
    read, write = os.pipe()
    os.close(read)
    process = start(*arguments, stdout=write)
    os.close(write)
    assert ended(process, 0)[1] == ""


def test_training_goes_on_when_nobody_reads_any_more(folder):
    read, write = os.pipe()
    os.close(read)
    few = ("--steps", "3", "--out", "run", "--set", "model.width=8")
    process = start("train", "vae", "two-moons", *few, stdout=write)
    os.close(write)
    assert ended(process, 0)[1] == ""
    assert Path("run/checkpoints/000003").is_dir()


def test_output_that_cannot_be_written_is_told(folder):
    with open("/dev/full", "w") as full:
        _, err = ended(start("list", stdout=full), 1)
    assert err == "danlu: the system refuses: No space left on device.\n"


def test_no_streams_at_all(folder):
    def close():
        os.close(1)
        os.close(2)

    process = subprocess.Popen([*DANLU, "list"], preexec_fn=close)
    assert process.wait(timeout=60) == 0


def test_a_terminal_without_our_characters(folder):
    plain = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    out, _ = ended(start("check", "loss", env=plain), 0)
    assert " <= " in out
    ended(start("explain", "rectified-flow", env=plain), 0)


def test_drawing_beside_a_notebook(folder):
    inline = {**os.environ, "MPLBACKEND": "module://a_package.that_is_not_here"}
    few = ("--steps", "3", "--out", "run", "--set", "model.width=8")
    ended(start("train", "vae", "two-moons", *few, env=inline), 0)
    assert Path("run/samples/000003.png").exists()
