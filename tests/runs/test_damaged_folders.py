"""Damaged run folders: one line, or an older checkpoint and a notice; never a traceback.

`CASES` damages every file of a run in hundreds of ways, as accidents would and as somebody would
who writes right digests under wrong contents. A sample of them is tried in the quick run.
"""

import json
import os
import random
import shutil
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import danlu
from danlu.cli.main import main
from danlu.contracts import DanluError
from danlu.data import open_source
from danlu.evaluation.results import (
    EvidenceRow,
    Measured,
    Picture,
    Results,
    Row,
    RowKind,
    StageRow,
)
from danlu.runs.export import Exported
from danlu.training import checkpoint
from danlu.training.records import DIGEST, VERSION, record_json, record_yaml, row_json

TINY = ("--set", "model.width=8", "--set", "train.batch=16")
NEWEST = "checkpoints/000006"
RECORDS = ("config.yaml", "environment.json", f"{NEWEST}/meta.json", "results.json")
ROWS = ("metrics.jsonl", "samples/pictures.jsonl")
TENSORS = ("model.safetensors", "average.safetensors", "state.pt")
FILES = (*RECORDS, *ROWS, "checkpoints/LATEST", *(f"{NEWEST}/{name}" for name in TENSORS))
VALUES = (None, "x", "", [], {}, [1], {"a": 1}, -1, 0, 2.5, True, 10**30, 1e308, float("inf"))
BAD_JSON = (
    *("null", "3", '"x"', "[]", "{}", "[" * 100_000, '{"a":' * 50_000, "1" * 5_000, "\\"),
    *('{"format": 99}', '{"format": "two"}', '{"\\ud800": 1}'),
)
BAD_YAML = (
    *("a: 2001-99-99", "a: !!int abc", "a: !!float x", "a: !!timestamp x", "a: !!bool q"),
    *("a: !!binary '*'", "&a [*a]", "a: &a [1]\nb: *a", "? [1]\n: 2", "\ta: 1", "!!set {a}"),
    *("- " * 5_000, "a: !!python/name:os.system", "%YAML 9.9\n---\n{}"),
)
EVERY = 400
"""One case of so many is in the quick run."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run with two checkpoints and results."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train = ["train", "vae", "two-moons", "--out", str(folder), *TINY]
    assert main([*train, "--steps", "3"]) == 0
    assert main(["train", "--resume", str(folder), "--steps", "6"]) == 0
    results().save(folder / "results.json")
    return folder


def results():
    """What a report is made of, with something in every field."""
    measured = Measured(1.5, 0.1)
    row = Row(
        name="vae",
        kind=RowKind.MODEL,
        metrics={"frechet@pixels": measured},
        evidence=EvidenceRow(measured, None, "lower", "lebesgue", "none", 16, 8),
        curves={"loss": [(0.0, 2.0), (1.0, 1.0)]},
        stages=[StageRow("train", 1.0, 6, 1.0)],
        grids=[Picture(1.0, "samples/000006.png", "points")],
        run="run",
    )
    floor = Row(name="held-out data", kind=RowKind.FLOOR, metrics={"frechet@pixels": measured})
    return Results(
        title="vae on two-moons",
        data="two-moons",
        description=asdict(open_source("two-moons").description),
        rows=[row, floor],
        seed=0,
        seeds=1,
        split={"samples": (0.0, 1.0)},
        features={"pixels": {"name": "pixels", "hash": "values", "accuracy": None, "seconds": 0.0}},
        machine={"device": "cpu", "cores": 2},
        held_out=100,
        reference="test split",
        command="danlu eval run",
        version="0.1.0",
    )


@pytest.fixture
def run(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "run"))


# --- ways to damage a file ----------------------------------------------------------------------


def raw_contents(path):
    """What accidents leave, and what no parser likes."""
    content = path.read_bytes()
    pick = random.Random(path.name)
    yield "empty", b""
    yield "NUL", bytes(len(content))
    yield "cut", content[: len(content) // 2]
    yield "garbage", pick.randbytes(200)
    yield "doubled", content + content
    for text in (*BAD_JSON, *BAD_YAML):
        yield text[:12], text.encode()
    yield "Latin-1", "é".encode("latin-1")


def places(value, here=()):
    """The path of every key and every item in plain data."""
    if here:
        yield here
    items = value.items() if isinstance(value, dict) else enumerate(value[:2])
    for key, item in items:
        below = (*here, key)
        yield from places(item, below) if isinstance(item, dict | list) else [below]


def changed(raw, place, value):
    """Plain data with another value in a place; `...` takes the place away."""
    copy = json.loads(json.dumps(raw))
    *above, last = place
    inner = copy
    for key in above:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return copy


def record_contents(path):
    """Wrong values in every place, under a right digest."""
    text = path.read_text()
    is_yaml = path.suffix == ".yaml"
    raw = yaml.safe_load(text) if is_yaml else json.loads(text)
    raw = {key: value for key, value in raw.items() if key not in (VERSION, DIGEST)}
    write = record_yaml if is_yaml else record_json
    if path.name == "results.json":
        raw["rows"] = raw["rows"][:1]
    for place in places(raw):
        for value in (..., *VALUES):
            yield (
                f"{place}={value!r}"[:80],
                lambda p=place, v=value: write(changed(raw, p, v)).encode(),
            )
    yield "more", write({**raw, "surprise": 1}).encode()


def row_contents(path):
    """Wrong values in every place of a row in the middle, under a right digest."""
    lines = path.read_text().splitlines()
    raw = json.loads(lines[0])
    del raw[DIGEST]
    with_row = lambda row: "\n".join([lines[0], row_json(row).strip(), *lines[1:]]).encode()
    for place in places(raw):
        for value in (..., *VALUES):
            yield f"{place}={value!r}"[:80], lambda p=place, v=value: with_row(changed(raw, p, v))


def states(path):
    """Training states of other models, and of none."""
    state = torch.load(path, weights_only=True)
    for place in places(state):
        for value in (..., None, "x", [], -1, torch.zeros(3), torch.zeros(()), 1e308):
            yield f"{place}={value!r}"[:80], lambda p=place, v=value: torch_changed(state, p, v)


def torch_changed(state, place, value):
    copy = torch.load(_saved(state), weights_only=True)
    *above, last = place
    inner = copy
    for key in above:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return _saved(copy).getvalue()


def _saved(state):
    buffer = BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


def contents(folder, name):
    """Name of a damage -> what the file then holds."""
    path = folder / name
    yield from raw_contents(path)
    if name in RECORDS:
        yield from record_contents(path)
    elif name in ROWS:
        yield from row_contents(path)
    elif name.endswith("state.pt"):
        yield from states(path)


def put(folder, name, content):
    """Write the content; the digest of a checkpoint's file is that of what it holds now."""
    path = folder / name
    path.write_bytes(content)
    if path.name in TENSORS:
        meta = json.loads((path.parent / "meta.json").read_text())
        meta = {key: value for key, value in meta.items() if key not in (VERSION, DIGEST)}
        meta["digests"][path.name] = checkpoint._digest(path)
        (path.parent / "meta.json").write_text(record_json(meta))


# --- what must hold -----------------------------------------------------------------------------


def verbs(name, folder):
    """What reads a file."""
    sample = ["sample", folder, "--n", "1", "--out", f"{folder}/x.npz"]
    resume = ["train", "--resume", folder, "--steps", "7"]
    report = ["report", folder]
    if name == "results.json":
        return [report]
    if name in ROWS or name.endswith(("state.pt", "model.safetensors")):
        return [resume]
    return [sample, resume]


def tried(folder, name, capsys):
    """The commands that read a file, each of which ends in order or refuses in one line."""
    for arguments in verbs(name, str(folder)):
        capsys.readouterr()
        code = main([*arguments])
        err = capsys.readouterr().err
        assert code in (0, 2), (arguments, err)
        lines = [line for line in err.splitlines() if line.startswith("danlu: ")]
        assert len(lines) == (code == 2), (arguments, err)
        assert all(len(line) < 1_000 and line.isprintable() for line in lines), lines
        assert "math domain error" not in err
        (folder / "x.npz").unlink(missing_ok=True)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "share", [pytest.param(EVERY, id="some"), pytest.param(1, id="all", marks=pytest.mark.long)]
)
def test_damage_is_told_in_one_line(whole, tmp_path, capsys, monkeypatch, name, share):
    monkeypatch.chdir(tmp_path)
    cases = list(contents(whole, name))
    for number, (what, content) in enumerate(cases[::share]):
        folder = Path(shutil.copytree(whole, tmp_path / str(number)))
        put(folder, name, content if isinstance(content, bytes) else content())
        try:
            tried(folder, name, capsys)
        except BaseException as error:
            raise AssertionError(f"{name}, {what}: {error!r}") from error
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["folder", "file", "circle"])
def test_odd_names_among_the_checkpoints(run, capsys, kind):
    for name in ("²", "٣", "-1", "0x10", "9" * 200, "1e9", ".old-²", "000005"):
        path = run / "checkpoints" / name
        if kind == "folder":
            path.mkdir()
        elif kind == "file":
            path.write_text("x")
        else:
            path.symlink_to(path)
    tried(run, "config.yaml", capsys)


@pytest.mark.parametrize(
    "name",
    [
        each if each in ("config.yaml", f"{NEWEST}/average.safetensors") else
        pytest.param(each, marks=pytest.mark.long)
        for each in FILES
    ],
)  # fmt: skip
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_not_read(run, capsys, name, make):
    (run / name).unlink()
    make(run / name)
    tried(run, name, capsys)


# --- nothing is silently wrong ------------------------------------------------------------------


def drawn(folder, capsys):
    """Samples and what was said; None where it was refused."""
    out = folder / "x.npz"
    out.unlink(missing_ok=True)
    capsys.readouterr()
    code = main(["sample", str(folder), "--n", "4", "--json", "--out", str(out)])
    found = capsys.readouterr()
    if code:
        assert found.err.count("danlu: ") == 1
        return None, []
    with np.load(out) as arrays:
        return arrays["x"], json.loads(found.out)["notices"]


SAMPLED = ("config.yaml", "environment.json", "checkpoints/LATEST", f"{NEWEST}/meta.json",
           f"{NEWEST}/average.safetensors")  # fmt: skip


@pytest.mark.parametrize("name", SAMPLED)
@pytest.mark.parametrize(
    "flips", [pytest.param(2, id="some"), pytest.param(60, id="many", marks=pytest.mark.long)]
)
def test_one_flipped_bit_is_seen_or_changes_nothing(run, capsys, name, flips):
    right, said = drawn(run, capsys)
    assert said == []
    path, pick = run / name, random.Random(name)
    content = path.read_bytes()
    for _ in range(flips):
        bit = pick.randrange(8 * len(content))
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        x, said = drawn(run, capsys)
        assert x is None or said or np.array_equal(x, right), (name, bit)


def test_every_reader_says_that_an_older_checkpoint_took_the_place(
    run, capsys, tmp_path, monkeypatch
):
    # Nothing can be traced beside the run-time check of annotations.
    monkeypatch.setattr("danlu.runs.export.export", lambda *rest: Exported(tmp_path))
    path = run / NEWEST / "average.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    said = "Checkpoint 000006 is damaged (average.safetensors is not what was written)"
    with pytest.warns(UserWarning, match="Checkpoint 000006 is damaged"):
        danlu.load(run)
    for verb in (
        ["sample", run, "--n", "1", "--out", tmp_path / "x.npz"],
        ["export", run, "--format", "pt2"],
        ["train", "--resume", run, "--steps", "8"],
    ):
        capsys.readouterr()
        assert main([*map(str, verb), "--json"]) == 0
        found = capsys.readouterr()
        assert said in found.err
        assert said in " ".join(json.loads(found.out)["notices"])


@pytest.mark.long
def test_an_evaluation_says_that_an_older_checkpoint_took_the_place(run, capsys):
    (run / NEWEST / "average.safetensors").write_bytes(b"")
    assert main(["eval", str(run), "--n", "8", "--json"]) == 0
    notices = json.loads(capsys.readouterr().out)["notices"]
    assert "Checkpoint 000006 is damaged" in " ".join(notices)
    assert notices == Results.load(run / "results.json").notices


def test_a_training_state_of_another_width_goes_back_and_says_so(run, tmp_path, capsys):
    other = tmp_path / "other"
    train = ["train", "vae", "two-moons", "--out", str(other), "--steps", "3"]
    assert main([*train, "--set", "model.width=16"]) == 0
    put(run, f"{NEWEST}/state.pt", (other / "checkpoints/000003/state.pt").read_bytes())
    capsys.readouterr()
    assert main(["train", "--resume", str(run), "--steps", "8", "--json"]) == 0
    notices = json.loads(capsys.readouterr().out)["notices"]
    assert "Checkpoint 000006 is damaged (The training state is of another model" in notices[0]


def test_a_speed_policy_of_a_million_threads_is_not_used(run, capsys):
    facts = json.loads((run / "environment.json").read_text())
    facts["policy"]["threads"] = 1_000_000
    del facts[VERSION], facts[DIGEST]
    (run / "environment.json").write_text(record_json(facts))
    _, (line,) = drawn(run, capsys)
    assert "policy: threads must lie in 1 to 1024, got 1000000" in line


# --- what earlier versions wrote ----------------------------------------------------------------


@pytest.fixture
def old(run):
    """The run as version 1 of the format has it: no version, digests, splits or kind."""
    for path in [*run.rglob("*.json"), *run.rglob("*.jsonl")]:
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        rows = [json.loads(line) for line in lines]
        for row in rows:
            row.pop(VERSION, None), row.pop(DIGEST, None)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = yaml.safe_load((run / "config.yaml").read_text())
    for key in (VERSION, DIGEST, "splits"):
        del config[key]
    del config["description"]["kind"]
    condition = config["description"].pop("condition")
    config["description"]["classes"] = condition["classes"] if condition else 0
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "checkpoints" / "LATEST").write_text("000006\n")
    return run


def test_a_folder_of_an_earlier_version_is_read_as_before(old, whole, capsys, tmp_path):
    right, _ = drawn(Path(shutil.copytree(whole, tmp_path / "copy")), capsys)
    x, said = drawn(old, capsys)
    assert np.array_equal(x, right)
    assert said == []
    assert main(["train", "--resume", str(old), "--steps", "7", "--json"]) == 0
    assert "is of an earlier version" in json.loads(capsys.readouterr().out)["notices"][0]
    assert main(["report", str(old)]) == 0
    assert yaml.safe_load((old / "config.yaml").read_text())[VERSION] == 3


def test_a_folder_of_a_later_version_says_so(run):
    raw = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**raw, VERSION: 4}))
    with pytest.raises(DanluError, match="format is 4; this version of danlu reads 1 to 3"):
        danlu.load(run)
