"""The map and the glossary say what is there: every word, every table, every room."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest

from danlu.catalogue.rooms import ROOMS

ROOT = Path(__file__).parents[2]
MAP = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
ENTRIES = re.findall(
    r"^\| ([^|]+) \| `(danlu[\w.]*)` \| ([^|]+) \|$",
    (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
LAYERS = next(each["layers"] for each in SETTINGS["contracts"] if each["type"] == "layers")


def rooms():
    """Rooms of the import contract that there are, from top to bottom."""
    names = [name for line in LAYERS for name in re.findall(r"\w+", line)]
    home = ROOT / "src" / "danlu"
    return [name for name in names if (home / name).is_dir() or (home / f"{name}.py").exists()]


def resolved(place):
    module, _, name = place.rpartition(".")
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError:
        return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(("word", "place"), [entry[:2] for entry in ENTRIES])
def test_a_word_is_defined_where_the_glossary_says(word, place):
    assert resolved(place) is not None, word


def test_a_word_has_one_meaning():
    words = [word for word, _, _ in ENTRIES]
    assert len(words) == len(set(words)) > 60
    places = [place for _, place, _ in ENTRIES]
    assert len(places) == len(set(places)), "two words for one thing"


def test_every_table_is_in_the_glossary():
    assert {room.home for room in ROOMS} <= {place for _, place, _ in ENTRIES}


def test_the_map_has_the_rooms_of_the_import_contract_in_their_order():
    listed = re.findall(r"^\| `(\w+)` \| ", MAP, re.MULTILINE)
    assert listed == [name for name in rooms() if name != "__main__"]
    drawing = MAP.partition("```text\n")[2].partition("```")[0]
    assert set(re.findall(r"[a-z]+", drawing)) == set(listed)


def test_the_walk_names_files_that_there_are():
    paths = re.findall(r"`(\w+/\w+(?:\.py)?)`", MAP)
    assert len(paths) >= 8
    assert [path for path in paths if not (ROOT / "src" / "danlu" / path).exists()] == []
