"""What is asked of a run: classes, texts and files of conditions."""

import numpy as np
import pytest
import torch

from danlu import load
from danlu.cli.main import main
from danlu.contracts import Classes, Condition, DanluError, DataDescription, Tokens, Vector
from danlu.data import Examples, Source
from danlu.runs.asking import asked_for, only_told
from danlu.runs.config import DataChoice, resolve
from danlu.runs.folders import create
from danlu.runs.train import Surroundings, train
from danlu.training import Budget

NAMES = ("ant", "bee", "cow")


def described(kind):
    return DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0, condition=kind)


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "v.npy", np.array([[1.0, 2.0], [3.0, 4.0]]))
    np.savez(tmp_path / "both.npz", vector=np.ones((1, 2)), tokens=np.array([[98, 99]]))
    (tmp_path / "t.txt").write_text("red\n\nblue\n")
    return tmp_path


def test_a_class_is_asked_for_by_name_or_id():
    for name, names in (("bee", NAMES), ("1", NAMES), ("1", ())):
        told = asked_for(described(Classes(3)), names, 4, class_name=name)
        assert told.ids.tolist() == [1] * 4
    assert asked_for(described(Classes(3)), NAMES, 4) is None


def test_rows_of_a_file_come_in_turn(files):
    told = asked_for(described(Vector(2)), (), 3, file=files / "v.npy")
    assert told.values.tolist() == [[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]
    told = asked_for(described(Tokens(4)), (), 3, file=files / "t.txt")
    assert [bytes(row[: sum(v)]) for row, v in zip(told.values, told.valid, strict=True)] == [
        b"red",
        b"blue",
        b"red",
    ]


def test_of_several_kinds_what_is_not_asked_for_is_left_out(files):
    description = described((Classes(3), Tokens(4), Vector(2)))
    told = asked_for(description, NAMES, 2, prompt="red", class_name="cow")
    ids, text, vector = told.values
    assert ids.values.tolist() == [2, 2]
    assert ids.present.all()
    assert text.present.all()
    assert not vector.present.any()
    told = asked_for(description, NAMES, 2, file=files / "both.npz")
    assert [part.present.all().item() for part in told.values] == [False, True, True]


@pytest.mark.parametrize(
    ("kind", "asked", "line"),
    [
        (Classes(3), {"prompt": "red"}, "is told no tokens: its condition is class"),
        (None, {"prompt": "red"}, "its condition is none"),
        (Tokens(4), {"class_name": "1"}, "Unknown class '1'"),
        (Vector(3), {"file": "v.npy"}, "Expected vectors of shape"),
        (Vector(2), {"file": "none.npy"}, "cannot be read as arrays"),
        (Vector(2), {"file": "both.csv"}, "--condition takes"),
        (Vector(2), {"file": "t.txt"}, "is told no tokens"),
        (None, {"file": "v.npy"}, "holds no rows of conditions"),
    ],
)
def test_what_a_model_is_not_told_is_refused_in_a_line(files, kind, asked, line):
    if "file" in asked:
        asked = {"file": files / asked["file"]}
    with pytest.raises(DanluError, match=line) as caught:
        asked_for(described(kind), (), 2, **asked)
    assert "\n" not in str(caught.value)


def test_a_run_is_told_on_the_command_line_and_the_samples_are_the_models_own(files):
    description = described((Tokens(4), Vector(2)))
    told = Condition((Tokens(4).of_texts(["red", "blue"] * 16), Condition(torch.randn(32, 2))))
    part = Examples(torch.randn(32, 2), told, description)
    source = Source(name="own", description=description, training=part, validation=part, test=part)
    config = resolve("vae", source, DataChoice(source="own"), Budget(steps=2))
    run = create(files / "run", config)
    train(run, source, Surroundings())
    assert load(files / "run").description == description
    out = files / "x.npz"
    asked = ["--n", "4", "--seed", "2", "--prompt", "red", "--condition", str(files / "v.npy")]
    np.savez(files / "v.npz", vector=np.load(files / "v.npy"))
    asked[-1] = str(files / "v.npz")
    assert main(["sample", str(files / "run"), *asked, "--out", str(out)]) == 0
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0], [3.0, 4.0]])
    condition = ("red", rows)
    own = load(files / "run").sample(4, condition=condition, seed=2)
    with np.load(out) as arrays:
        assert np.abs(arrays["x"] - own.numpy()).max() < 1e-2


def test_held_out_examples_are_those_that_are_told_the_same():
    description = described((Tokens(4), Vector(2)))
    vectors = torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]])
    told = Condition((Tokens(4).of_texts(["red", "red", "blue"]), Condition(vectors)))
    part = Examples(torch.arange(6.0).view(3, 2), told, description)
    source = Source(name="own", description=description, training=part, validation=part, test=part)
    red = asked_for(description, (), 1, prompt="red")
    assert only_told(source, "test", red).test.x()[:, 0].tolist() == [0.0, 2.0]
    assert len(only_told(source, "test", red).validation) == 3
    assert only_told(source, "test", None) is source
    with pytest.raises(DanluError, match="No example of the test split"):
        only_told(source, "test", asked_for(description, (), 1, prompt="reds"))
