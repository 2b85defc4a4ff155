"""The command line itself: help, hints, exit codes."""

import subprocess
import sys
import tempfile

import pytest

from danlu.cli.main import VERBS, main
from danlu.contracts import DanluError, NonFiniteError, StorageError


def raising(monkeypatch, error):
    """`danlu list` fails with an error raised inside danlu."""

    def run(options):
        raise error

    monkeypatch.setattr(VERBS["list"], "run", run)


def test_help_lists_every_verb(danlu):
    done = danlu("--help")
    assert done.code == 0
    assert all(verb in done.out for verb in VERBS)


def test_no_command_is_a_call_for_help(danlu):
    assert danlu().out == danlu("--help").out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_examples(danlu, verb):
    done = danlu(verb, "--help")
    assert done.code == 0
    assert f"danlu {verb} " in done.out.partition("examples:")[2]


def test_version(danlu):
    assert danlu("--version").out.startswith("danlu 0.")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["rase", "digits"], "did you mean 'race'?"),
        (["race", "digits", "--minuts", "3"], "did you mean '--minutes'?"),
        (["train", "vae", "digits", "--minutes", "soon"], "invalid float value: 'soon'"),
        (["train", "vae", "digits", "--minutes", "1", "--steps", "3"], "not allowed with"),
        (["train", "vae", "digits", "more"], "'more' is one argument too many"),
        (["race", "digits", "--minutes", "0"], "budget must be positive and finite, got 0"),
        (["explain"], "required: name"),
        (["explain", "rectified-flo"], "did you mean 'rectified-flow'?"),
        (["list", "famlies"], "did you mean 'families'?"),
        (["check", "difusion"], "did you mean 'diffusion'?"),
        (["bench", "lop"], "did you mean 'loop'?"),
    ],
)
def test_what_is_not_known_is_answered_with_the_nearest(refused, arguments, hint):
    assert hint in refused(*arguments)


def test_a_failure_in_training_is_one_line_and_1(danlu):
    rate = ("--set", "optimizer.rate=1e30", "--set", "train.max_grad_norm=1e30")
    done = danlu("train", "vae", "two-moons", "--steps", "5", "--out", "run", *rate)
    assert done.code == 1
    assert "The loss term" in done.err.splitlines()[-1] or "gradient" in done.err


def test_an_interruption_is_130(danlu, monkeypatch):
    raising(monkeypatch, KeyboardInterrupt())
    assert danlu("list").code == 130


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DanluError("no"), 2, "no"),
        (NonFiniteError("nan"), 1, "nan"),
        (StorageError("full"), 1, "full"),
        (FileNotFoundError(2, "No such file", "path"), 2, "path: No such file."),
        (OSError(28, "No space left on device", "path"), 1, "path: No space left on device."),
        (OSError(5, "any"), 1, "the system refuses: Input/output error."),
        (MemoryError(), 1, "there is not enough memory for that; ask for less at once."),
        (KeyboardInterrupt("SIGTERM"), 130, "stopped by SIGTERM."),
        (KeyboardInterrupt(), 130, "interrupted."),
    ],
)
def test_what_can_go_wrong_is_one_line_and_a_code(monkeypatch, capsys, error, code, line):
    raising(monkeypatch, error)
    assert main(["list"]) == code
    assert capsys.readouterr().err == f"danlu: {line}\n"


@pytest.mark.parametrize(
    "error",
    [ValueError("math domain error"), TypeError("not callable"), OSError("no number"), KeyError(1)],
)
def test_our_own_mistakes_are_one_line_with_the_place_of_the_traceback(
    monkeypatch, capsys, tmp_path, error
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    raising(monkeypatch, error)
    assert main(["list"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("danlu: a mistake in danlu itself")
    assert "math domain error" not in line
    (path,) = tmp_path.iterdir()
    assert str(path) in line
    assert f"{type(error).__name__}: " in path.read_text()
    assert "Traceback" in path.read_text()


def test_a_mistake_that_cannot_be_kept_is_one_line_too(monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    raising(monkeypatch, TypeError())
    assert main(["list"]) == 1
    assert "cannot be kept (No such file or directory)" in capsys.readouterr().err


@pytest.mark.long
def test_a_reader_that_leaves_is_no_error():
    """`danlu list | head -1` ends quietly."""
    command = f"{sys.executable} -m danlu list 2>&1 | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
