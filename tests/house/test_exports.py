"""Pieces are taken from their rooms by name, and type checkers see what they are."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from danlu.catalogue.rooms import ROOMS

FLAT = ("mixers", "positions", "solvers", "losses", "layers")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", FLAT)
def test_a_room_offers_what_it_says(name):
    room = importlib.import_module(f"danlu.{name}")
    assert len(room.__all__) == len(set(room.__all__)) > 4
    assert [each for each in room.__all__ if not hasattr(room, each)] == []


@pytest.mark.parametrize(
    "table", [room for room in ROOMS if room.home.split(".")[1] in FLAT], ids=lambda room: room.home
)
def test_every_member_is_offered_by_its_room(table):
    """One import line and one row; the name stands in `__all__` too, for type checkers."""
    room = importlib.import_module(".".join(table.home.split(".")[:2]))
    offered = [getattr(room, name) for name in room.__all__]
    assert [name for name, row in table.table.items() if not any(
        row.target is each for each in offered
    )] == []  # fmt: skip


@pytest.mark.long
def test_type_checkers_see_the_classes(tmp_path):
    assert (ROOT / "src" / "danlu" / "py.typed").exists()
    asked = {"mixers": "Mamba", "positions": "Rotary", "solvers": "Heun", "losses": "ZLPR",
             "layers": "RMSNorm"}  # fmt: skip
    lines = [
        f"from danlu.{room} import {name}\nreveal_type({name})" for room, name in asked.items()
    ]
    (tmp_path / "user.py").write_text("\n".join([*lines, "Mamba('wide')"]) + "\n")
    settings = {"include": ["user.py"], "extraPaths": [str(ROOT / "src")]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["generalDiagnostics"]
    said = [each["message"] for each in found if each["severity"] == "information"]
    assert said == [f'Type of "{name}" is "type[{name}]"' for name in asked.values()]
    wrong = [each["message"] for each in found if each["severity"] == "error"]
    assert len(wrong) == 1, "a width that is text is the one mistake"
    assert "dim" in wrong[0]
