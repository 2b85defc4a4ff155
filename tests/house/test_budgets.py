"""Budgets of the source tree: what a reader can hold in mind, and what must not appear."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in SOURCES}

FILE_LINES = 300
FUNCTION_LINES = 50
CONSTRUCTOR_ARGUMENTS = 7
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "base_utils"}


def nodes(kind):
    """Every node of a kind with the place where it stands."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, kind):
                yield f"{path}:{node.lineno}", node


def over_budget(sizes, budget):
    return {place: size for place, size in sizes if size > budget}


def test_there_is_source_to_measure():
    assert len(TREES) > 30


def test_files_are_short():
    kernels = [path for end in ("cpp", "h") for path in (ROOT / "src").rglob(f"*.{end}")]
    assert kernels
    files = [*SOURCES, *kernels]
    lines = ((str(path.relative_to(ROOT)), len(path.read_text().splitlines())) for path in files)
    assert over_budget(lines, FILE_LINES) == {}


def test_functions_are_short():
    lines = (
        (place, node.end_lineno - node.lineno + 1)
        for place, node in nodes((ast.FunctionDef, ast.AsyncFunctionDef))
    )
    assert over_budget(lines, FUNCTION_LINES) == {}


def test_constructors_take_few_arguments():
    def arguments(function):
        given = function.args
        return len([*given.posonlyargs, *given.args, *given.kwonlyargs]) - 1  # without self

    counts = (
        (place, arguments(node))
        for place, node in nodes(ast.FunctionDef)
        if node.name == "__init__"
    )
    assert over_budget(counts, CONSTRUCTOR_ARGUMENTS) == {}


def test_no_postponed_annotations():
    """They would switch the run-time check of tensor shapes off."""
    found = [place for place, node in nodes(ast.ImportFrom) if node.module == "__future__"]
    assert found == []


def test_no_shelf_for_everything():
    assert [str(path) for path in SOURCES if path.stem in VAGUE_NAMES] == []


@pytest.mark.parametrize("path", TREES)
def test_module_has_a_docstring(path):
    assert ast.get_docstring(TREES[path]), f"{path} does not say what it is"
