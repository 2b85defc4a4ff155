"""Every method of a room stands beside the formula of its source, written apart."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

from danlu import laws, layers
from danlu.laws.layers import definitions_layers
from danlu.laws.mixers import (
    definitions_pictures,
    definitions_rows,
    definitions_scans,
    definitions_steady,
)
from danlu.mixers import MIXERS
from danlu.positions import POSITIONS

TABLES = {"mixers": MIXERS, "positions": POSITIONS}
ORACLES = {law.name: law.oracle for law in laws.LAWS}
FILES = (
    definitions_layers,
    definitions_pictures,
    definitions_rows,
    definitions_scans,
    definitions_steady,
)
DEFINED = {name: errors for file in FILES for name, errors in file.DEFINED.items()}
APART = {
    "layers.kernels": "equal to the forms in torch (tests/layers/test_kernels.py)",
    "layers.recompute": "plans and schedules, checked by the laws of recompute and revolve",
    "layers.scans.chunks": "the frame of the scans, which every one of them runs",
}
"""Modules of layers without a formula of their own, with the reason."""
DRAWN = {"seeded_normal"}
"""What a formula may ask of the library: random numbers, which no source defines."""


def formulas():
    """The functions of the definitions that are handed weights, with the names that they use."""
    for path in sorted(Path(laws.__file__).parent.rglob("definitions_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        parts = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and str(node.module).startswith(("danlu.mixers", "danlu.layers", "danlu.positions"))
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and any(arg.arg == "w" for arg in node.args.args):
                used = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
                yield f"{path.stem}.{node.name}", used & parts


def test_formulas_call_no_part_of_the_library():
    found = dict(formulas())
    assert len(found) > 50
    assert {name: used for name, used in found.items() if used - DRAWN} == {}


@pytest.mark.parametrize("room", TABLES)
def test_every_row_has_its_definition(room):
    names = {f"{room}/{name}/definition" for name in TABLES[room]}
    assert {name for name in names if ORACLES.get(name) != "definition"} == set()


def modules_of_layers():
    for found in pkgutil.walk_packages(layers.__path__, "danlu.layers."):
        apart = any(found.name.startswith(f"danlu.{prefix}") for prefix in APART)
        if not (found.ispkg or apart):
            yield found.name


def offered(module):
    """Public functions, and classes that are layers or have methods of their own."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        own = inspect.isclass(value) and any(
            inspect.isfunction(member) and member_name[0] != "_"
            for member_name, member in vars(value).items()
        )
        if inspect.isfunction(inspect.unwrap(value)) or own:
            yield name


@pytest.mark.parametrize("path", list(modules_of_layers()))
def test_every_part_of_the_layers_has_its_definition(path):
    name = path.rpartition(".")[2]
    assert set(offered(importlib.import_module(path))) == set(DEFINED[name])
    assert ORACLES[f"layers/{name.replace('_', '-')}/definition"] == "definition"
