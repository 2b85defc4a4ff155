"""Everything kept is whole or absent, also where the disk takes no more, whoever writes it."""

import ast
import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from danlu.contracts import StorageError
from danlu.embeddings import WordVectors
from danlu.embeddings.counting import Counting, PairCounter
from danlu.embeddings.saving import FORMATS
from danlu.evaluation.canvas import Figure, save_figure
from danlu.files import (
    append_text,
    json_text,
    patient_file,
    telling,
    whole_file,
    whole_folder,
    write_arrays,
    write_bytes,
    write_json,
    write_text,
)

SOURCE = Path(__file__).parents[2] / "src" / "danlu"
NOISE = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
VECTORS = WordVectors([f"word{i}" for i in range(500)], torch.rand(500, 20))


def by_patience(save):
    def write(path):
        with whole_file(path) as temporary, patient_file(temporary) as file:
            save(file)

    return write


def by_name(save):
    def write(path):
        with whole_file(path) as temporary:
            save(temporary)

    return write


class Doubled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.rand(100, 100))

    def forward(self, x):
        return x @ self.weight


def export_program(file):
    torch.export.save(torch.export.export(Doubled().eval(), (torch.zeros(2, 100),)), file)


def figure():
    drawn = Figure()
    drawn.subplots().imshow(NOISE)
    return drawn


WRITERS = {
    "text": lambda path: write_text(path, "x" * 100_000),
    "bytes": lambda path: write_bytes(path, bytes(NOISE)),
    "json": lambda path: write_json(path, NOISE.tolist()),
    "arrays": lambda path: write_arrays(path, {"x": NOISE}),
    "safetensors": by_name(lambda path: save_file({"x": torch.rand(9999)}, path)),
    "torch": by_patience(lambda file: torch.save({"x": torch.rand(9999)}, file)),
    "numpy": by_patience(lambda file: np.save(file, NOISE)),
    "picture": by_name(lambda path: Image.fromarray(NOISE).save(path, format="PNG")),
    "figure": lambda path: save_figure(figure(), path),
    "word2vec": lambda path: FORMATS["word2vec"](VECTORS, path),
    "word2vec-binary": lambda path: FORMATS["word2vec-binary"](VECTORS, path),
}


@pytest.mark.parametrize("room", [0, 4096])
@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_cut_short_never_has_the_name(tmp_path, narrow, kind, room):
    path = tmp_path / "kept"
    path.write_bytes(b"before")
    with narrow(room), pytest.raises(StorageError, match=r"kept: .*unchanged"):
        WRITERS[kind](path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["kept"]
    WRITERS[kind](path)
    assert path.stat().st_size > 4096
    assert os.listdir(tmp_path) == ["kept"]


@pytest.mark.long
def test_a_program_that_is_exported_onto_a_full_disk_does_not_abort(tmp_path, narrow):
    with narrow(4096), pytest.raises(StorageError):
        by_patience(export_program)(tmp_path / "kept")
    assert os.listdir(tmp_path) == []


def test_a_folder_is_whole_or_what_it_was(tmp_path, narrow):
    def fill(text):
        with whole_folder(tmp_path / "kept") as place:
            write_text(place / "text", text)

    fill("before")
    with narrow(100), pytest.raises(StorageError, match="kept: "):
        fill("x" * 1000)
    assert os.listdir(tmp_path) == ["kept"]
    assert (tmp_path / "kept/text").read_text() == "before"


def test_a_failure_of_another_kind_leaves_nothing_either(tmp_path):
    def interrupted(path):
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "kept")
    assert os.listdir(tmp_path) == []


def test_a_diary_says_the_same(tmp_path, narrow):
    append_text(tmp_path / "diary", "one\n")
    with narrow(5), pytest.raises(StorageError, match="diary: "):
        append_text(tmp_path / "diary", "another\n")
    assert (tmp_path / "diary").read_text().startswith("one\n")


def test_counts_that_are_spilled_say_it_too(tmp_path, narrow):
    counter = PairCounter(10, Counting(folder=tmp_path))
    counter._pending = [(np.arange(9999), np.arange(9999))]
    with narrow(4096), pytest.raises(StorageError, match=r"run-0\.npy"):
        counter._spill(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("told", [OSError, lambda n, _: RuntimeError(f"I/O error (os error {n})")])
def test_full_over_quota_and_failing_are_one_line_with_the_path(number, told):
    with pytest.raises(StorageError) as caught, telling(Path("some/file")):
        raise told(number, "anything")
    assert str(caught.value).startswith(f"some/file: {os.strerror(number)}; ")
    assert "\n" not in str(caught.value)


def test_what_is_no_failure_of_a_disk_is_left_alone():
    for error in (ValueError("no"), FileNotFoundError(errno.ENOENT, "no", "path")):
        with pytest.raises(type(error)), telling(Path("some/file")):
            raise error


def test_json_has_no_infinity():
    assert json_text({"a": [float("inf"), (float("nan"), 1.5)]}) == '{"a": [null, [null, 1.5]]}'


WRITES = {
    "write_text",
    "write_bytes",
    "savefig",
    "savez",
    "savez_compressed",
    "tofile",
    "save_file",
}
DOORS = {"whole_file", "whole_folder", "patient_file", "telling"}
AT_HAND = ("files.py", "laws/embeddings/words.py")
"""The door itself, and a law that writes into a folder that it throws away."""


def writes(call):
    """Whether a call writes a file by itself."""
    function = call.func
    if isinstance(function, ast.Name):
        return function.id == "save_file"
    if not isinstance(function, ast.Attribute):
        return False
    owner = ast.unparse(function.value)
    if function.attr == "save":
        into_memory = call.args and ast.unparse(call.args[0]) == "buffer"
        return not into_memory and owner in ("np", "torch", "torch.export", "image")
    if function.attr == "open" and call.args and isinstance(call.args[0], ast.Constant):
        return str(call.args[0].value)[0] in "wax"
    return function.attr in WRITES


def test_nobody_writes_past_the_door():
    found = []
    for path in SOURCE.rglob("*.py"):
        if path.relative_to(SOURCE).as_posix() in AT_HAND:
            continue
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            if any(map(writes, calls)) and not names & DOORS:
                found.append(f"{path.relative_to(SOURCE)}: {function.name}")
    assert found == []
