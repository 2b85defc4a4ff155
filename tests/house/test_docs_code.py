"""Commands and code of the READMEs and the documentation are real."""

import re
import shlex
from pathlib import Path

import pytest

from danlu.cli.main import VERBS, main
from danlu.cli.parser import parse

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page, language):
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(program):
    """Arguments of every use of a program in the shell blocks of all pages."""
    found = {}
    for page in PAGES:
        for line in "".join(blocks(page, "bash")).splitlines():
            words = shlex.split(line, comments=True)
            if words and Path(words[0]).name == program:
                found[shlex.join(words[1:])] = words[1:]
    return found


@pytest.mark.parametrize("arguments", commands("danlu").values(), ids=commands("danlu"))
def test_command_is_understood(arguments):
    assert callable(parse(arguments, VERBS).run)


def test_every_verb_is_shown():
    assert {arguments[0] for arguments in commands("danlu").values()} == set(VERBS)


def test_every_target_of_make_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    assert {words[0] for words in commands("make").values()} <= targets


@pytest.mark.long
def test_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    train = "train rectified-flow digits --steps 5 --out runs/race/rectified-flow"
    assert main(shlex.split(train)) == 0
    capsys.readouterr()
    library, loss, solver, layer = blocks(ROOT / "README.md", "python")
    exec(library, {})
    shape, evidence = capsys.readouterr().out.splitlines()
    assert shape == "torch.Size([16, 1, 8, 8])"
    assert re.fullmatch(r"-?[\d.]+ ± [\d.]+ nats, bound: \w+, measure: \w+", evidence)
    exec(loss, {})
    assert capsys.readouterr().out == "torch.Size([8])\n"
    exec(solver, {})
    assert capsys.readouterr().out == "tensor([0.9050, 0.9050, 0.9050])\n"
    names = {}
    exec(layer, names)
    assert names["y"].shape == (2, 64)
