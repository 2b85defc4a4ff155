"""Odd words on the command line: each is refused in one line, or taken for what it is."""

import ast
from itertools import pairwise
from pathlib import Path

import pytest

from danlu.cli.console import console_for, say
from danlu.runs.settings import ROOMS

SOURCE = Path(__file__).parents[2] / "src" / "danlu"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["train", "vae", "two-moons", "--device", "hpu"], "no device 'hpu' here"),
        (["train", "vae", "~nosuchuser"], "~nosuchuser"),
        (["train", "lm", "--data", "~nosuchuser/text"], "~nosuchuser"),
        (["train", "vae", "two-moons", "--seed", str(2**64)], "no number is as large as 1.84e+19"),
        (["race", "two-moons", "--seeds", f"1,{2**64}"], "no number is as large"),
        (["words", "fit", "x", "--out", "y", "--memory", "nan"], "a finite number is needed"),
        (["check", "--solver", "json:dumps"], "dumps raises TypeError ("),
        (["check", "--mixer", "json:dumps"], "dumps makes no Mixer, but a str"),
        (["check", "--mixer", "builtins:str"], "str raises ValueError ("),
        (["check", "json:dumps"], "dumps raises TypeError ("),
        (["check", "builtins:repr"], "makes no GenerativeModel, but a str"),
        (["check", "math:floor"], "floor raises "),
        (["check", "this_module:Nothing"], "Cannot import this_module"),
    ],
)
def test_what_cannot_be_is_refused(refused, arguments, hint):
    assert hint in refused(*arguments)


@pytest.mark.parametrize("flag", ["--n", "--seed", "--evaluations"])
def test_numbers_that_no_machine_has_are_refused(refused, plane_vae, flag):
    assert "no number is as large as" in refused("sample", plane_vae, flag, 2**64)


@pytest.mark.parametrize("name", ["9e18", str(2**63 - 1), "-1", "²", "0"])
def test_a_class_that_is_not_there(refused, plane_vae, name):
    assert f"Unknown class {name!r}" in refused("sample", plane_vae, "--class", name)


def test_a_module_of_ones_own_that_fails_is_told_with_its_place(refused, tmp_path):
    (tmp_path / "broken_module.py").write_text("1 / 0\n")
    line = refused("check", "broken_module:Class")
    assert "broken_module raises ZeroDivisionError (" in line
    assert "broken_module.py, line 1): division by zero" in line


def test_vectors_as_large_as_float32_has_them(danlu):
    Path("large.txt").write_text(
        "3 2\none 1e38 1e38\ntwo 2e38 2.1e38\nthree 1e38 -1e38\n", encoding="utf-8"
    )
    first, second = danlu("words", "neighbours", "large.txt", "one").out.splitlines()
    assert first.split() == ["1.000", "two"]
    assert second.split() == ["0.000", "three"]


def test_text_is_printed_as_it_is(capsys):
    say(console_for(False), "a :heart: [red]b[/red] [/]")
    assert capsys.readouterr().out == "a :heart: [red]b[/red] [/]\n"


def test_advice_names_settings_that_there_are():
    """Every `--set room.` in a message or a help text is of a room of settings."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words = node.value.replace("`", " ").replace("(", " ").split()
                pairs = pairwise(words)
                found |= {after for word, after in pairs if word == "--set" and "." in after}
    rooms = {setting.partition("=")[0].split(".")[-2] for setting in found}
    assert len(found) > 10
    assert rooms - {"room", "ROOM"} <= {*ROOMS}
