"""docs/how-to/add-a-family.md to the letter: its code is written, its commands are run in order."""

import ast
import re
import shlex
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-family.md"
TEXT = PAGE.read_text(encoding="utf-8")
CODE, LOADING = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = dict.fromkeys(
    line
    for block in re.findall(r"^```bash\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
)
TRAIN, CHECK, RACE = COMMANDS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A reader's folder, with the module that the page tells to write."""
    folder = tmp_path_factory.mktemp("reader")
    name = re.search(r"Write `(\w+\.py)`", TEXT).group(1)
    (folder / name).write_text(CODE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        yield folder
        sys.modules.pop(name.removesuffix(".py"), None)


def danlu(command):
    from danlu.cli.main import main

    program, *arguments = shlex.split(command)
    assert program == "danlu"
    assert main(arguments) == 0


def test_the_class_has_twenty_lines():
    family = next(node for node in ast.parse(CODE).body if isinstance(node, ast.ClassDef))
    lines = CODE.splitlines()[family.lineno - 1 : family.end_lineno]
    assert len([line for line in lines if line.strip()]) <= 20


def test_it_trains_saves_and_loads(folder, capsys):
    danlu(TRAIN)
    capsys.readouterr()
    exec(compile(LOADING, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == "torch.Size([5, 2])\n"


def test_it_is_the_maximum_of_the_likelihood(folder):
    """The oracle: a fitted Gaussian has the mean and covariance of its data."""
    from danlu import load
    from danlu.data import open_source

    if not (folder / "runs" / "gaussian").exists():
        danlu(TRAIN)
    scope = {}
    exec(CODE, scope)
    family = scope["FullGaussian"]
    model = load(folder / "runs" / "gaussian", classes={"full_gaussian:FullGaussian": family})
    data = open_source("two-moons").training.x()
    assert model.mean.detach().numpy() == pytest.approx(data.mean(0).numpy(), abs=0.1)
    covariance = model.normal().covariance_matrix.detach()
    assert covariance.numpy() == pytest.approx(data.T.cov().numpy(), abs=0.1)


@pytest.mark.usefixtures("folder")
def test_it_is_checked(capsys):
    danlu(CHECK)
    assert "laws hold" in capsys.readouterr().out


@pytest.mark.long
def test_it_races(folder):
    danlu(RACE)
    report = (folder / "runs" / "moons" / "report.html").read_text(encoding="utf-8")
    assert "FullGaussian" in report
