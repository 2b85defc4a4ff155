"""Names stay names: classes, characters and examples are what they were when a run was made."""

import json
import shutil
import string

import numpy as np
import pytest
from PIL import Image

from danlu.cli.main import main

TINY = ("--set", "model.width=8", "--set", "train.batch=16")


def trained(folder, data):
    assert main(["train", "vae", str(data), "--steps", "3", "--out", str(folder), *TINY]) == 0
    return folder


def points(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """A run on classes that are called 5, 6 and 7, and its data."""
    home = tmp_path_factory.mktemp("numbered")
    np.savez(home / "data.npz", x=points(90), y=np.arange(90) % 3 + 5)
    return trained(home / "run", home / "data.npz")


@pytest.fixture
def moved(numbered, tmp_path):
    """A copy of the run whose data can be changed: its config names the copy."""
    run = shutil.copytree(numbered, tmp_path / "run")
    shutil.copy(numbered.parent / "data.npz", tmp_path / "data.npz")
    path = run / "config.yaml"
    path.write_text(path.read_text().replace(str(numbered.parent), str(tmp_path)))
    return run


def drawn(danlu, run, *arguments):
    assert danlu("sample", run, "--out", "x.npz", *arguments).code == 0
    with np.load("x.npz") as arrays:
        return arrays["y"], arrays["class_id"]


def test_classes_are_asked_for_and_kept_by_what_the_labels_were(danlu, numbered):
    y, ids = drawn(danlu, numbered, "--n", "4", "--class", "7")
    assert (y.tolist(), ids.tolist()) == ([7] * 4, [2] * 4)
    assert y.dtype.kind == "i"


def test_a_number_that_is_no_label_is_no_id_either(refused, numbered):
    for number in ("0", "2", "9000000000000000000", "-1", "7.0"):
        assert f"Unknown class {number!r}" in refused("sample", numbered, f"--class={number}")


def test_every_class_takes_its_turn_where_none_is_asked_for(danlu, tmp_path):
    letters = np.array(list(string.ascii_lowercase))
    np.savez(tmp_path / "letters.npz", x=points(260), y=letters[np.arange(260) % 26])
    run = trained(tmp_path / "run", tmp_path / "letters.npz")
    y, _ = drawn(danlu, run, "--n", "30")
    assert y.tolist() == [*letters, *"abcd"]
    with np.load("x.npz") as arrays:
        assert arrays["y"].dtype.kind == "U"


def test_ids_work_where_names_are_words(danlu, tmp_path):
    np.savez(tmp_path / "pets.npz", x=points(40), y=np.array(["cat", "dog"])[np.arange(40) % 2])
    run = trained(tmp_path / "run", tmp_path / "pets.npz")
    by_id, _ = drawn(danlu, run, "--n", "2", "--class", "1")
    (tmp_path / "x.npz").unlink()
    by_name, _ = drawn(danlu, run, "--n", "2", "--class", "dog")
    assert by_id.tolist() == by_name.tolist() == ["dog", "dog"]


def test_a_renamed_folder_is_another_class(danlu, refused, tmp_path):
    for name, shade in (("cat", 40), ("dog", 200)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for index in range(12):
            picture = Image.new("L", (8, 8), shade + index)
            picture.save(tmp_path / "pets" / name / f"{index}.png")
    done = danlu(
        *("train", "vae", "pets", "--label", "folder", "--size", "8", "--steps", "2"),
        *("--out", "run", *TINY),
    )
    assert done.code == 0
    (tmp_path / "pets" / "dog").rename(tmp_path / "pets" / "ape")
    for verb in (("train", "--resume", "run", "--steps", "4"), ("eval", "run")):
        assert "class 0 is 'ape', was 'cat'" in refused(*verb)
    assert danlu("sample", "run", "--n", "2", "--class", "dog").code == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: np.concatenate([x, x[:9]]), "81 examples and had 72 when the run was made"),
        (lambda x: x[::-1], "72 examples as before, but not the same ones"),
    ],
    ids=["more", "other"],
)
def test_other_examples_are_told(danlu, moved, tmp_path, change, said):
    x = change(points(90))
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(len(x)) % 3 + 5)
    done = danlu("train", "--resume", moved, "--steps", "5", "--json")
    assert done.code == 0
    assert said in " ".join(json.loads(done.out)["notices"])
    assert said in done.err
    done = danlu("eval", moved, "--n", "20", "--json")
    assert said in " ".join(json.loads(done.out)["notices"])


def test_another_text_of_the_same_alphabets_size_gets_no_likelihood(danlu, refused, tmp_path):
    words = np.random.default_rng(0).choice(["abc ", "cab ", "bca "], 400)
    (tmp_path / "book.txt").write_text("".join(words))
    small = ("--set", "model.dim=8", "--set", "model.depth=1", "--set", "model.heads=2")
    train = ("train", "lm", "book.txt", "--size", "8", "--steps", "2", "--out", "run", *small)
    assert danlu(*train).code == 0
    assert danlu("eval", "run").code == 0
    (tmp_path / "book.txt").write_text("".join(words).replace("c", "x"))
    for verb in (("eval", "run"), ("train", "--resume", "run", "--steps", "4")):
        assert "new characters 'x'; without 'c'" in refused(*verb)
    (tmp_path / "book.txt").write_text("".join(words[::-1]))
    assert "The test split of book has" in danlu("eval", "run").out
