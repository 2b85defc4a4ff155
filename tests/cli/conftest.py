"""A command line in this process, and tiny runs to use it on."""

from dataclasses import dataclass

import pytest

from danlu.cli.main import main

TINY = ("--set", "model.width=8", "--set", "train.batch=16")


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def danlu(capsys, monkeypatch, tmp_path):
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Done(code, *capsys.readouterr())

    return command


@pytest.fixture
def refused(danlu):
    """Run a command that must be refused in one line, and give the line."""

    def command(*arguments):
        done = danlu(*arguments)
        assert done.code == 2, done
        (line,) = done.err.splitlines()
        assert line.startswith("danlu: ")
        assert "Traceback" not in done.out
        return line

    return command


def trained(folder, family, data):
    assert main(["train", family, data, "--steps", "3", "--out", str(folder), *TINY]) == 0
    return folder


@pytest.fixture(scope="session")
def digits_vae(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "vae", "vae", "digits")


@pytest.fixture(scope="session")
def plane_vae(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "plane-vae", "vae", "two-moons")


@pytest.fixture(scope="session")
def plane_gan(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "plane-gan", "gan", "two-moons")
