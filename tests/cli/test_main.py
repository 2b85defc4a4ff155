"""The command line itself: help, hints, exit codes."""

import subprocess
import sys

import pytest

from danlu.cli.main import VERBS, main
from danlu.contracts import DanluError, NonFiniteError


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


def test_errors_for_users_and_our_own_mistakes_differ(monkeypatch, capsys):
    for error, code in ((DanluError("no"), None), (NonFiniteError("nan"), 1)):
        raising(monkeypatch, error)
        if code is None:  # raised by this file, hence not by danlu: nothing is hidden
            with pytest.raises(DanluError):
                main(["list"])
        else:
            assert main(["list"]) == code
    assert capsys.readouterr().err == "danlu: nan\n"


def test_a_reader_that_leaves_is_no_error():
    """`danlu list | head -1` ends quietly."""
    command = f"{sys.executable} -m danlu list 2>&1 | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
