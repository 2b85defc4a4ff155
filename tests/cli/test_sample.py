"""Drawing from a run."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from danlu import load
from danlu.data import open_source


@pytest.fixture
def exact(digits_vae, tmp_path):
    """The run with a speed policy of plain float32."""
    shutil.copytree(digits_vae, tmp_path / "vae")
    path = tmp_path / "vae" / "environment.json"
    facts = json.loads(path.read_text())
    facts["policy"]["autocast"] = "none"
    path.write_text(json.dumps(facts))
    return tmp_path / "vae"


def test_numbers_are_the_models_own_draws(danlu, exact, tmp_path):
    """The oracle: the library call with the same seed and class."""
    done = danlu("sample", exact, "--n", "7", "--class", "3", "--seed", "2", "--out", "x.npz")
    assert done.code == 0
    own = load(exact).sample(7, condition=3, seed=2).numpy()
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays["y"].tolist() == [3] * 7
        assert arrays["x"].shape == (7, 1, 8, 8)
        assert np.abs(arrays["x"] - own).max() < 1e-5


def test_a_picture_has_a_cell_for_each_sample(danlu, digits_vae, tmp_path):
    done = danlu("sample", digits_vae, "--n", "12", "--out", "x.png")
    assert "12 means of p(x|z)" in done.out
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.width > 10 * 48
        assert picture.height > 2 * 48


def test_settings_of_the_sampler(danlu, plane_vae, tmp_path):
    done = danlu("sample", plane_vae, "--n", "5", "--set", "sampler.output=mean", "--json")
    facts = json.loads(done.out)
    assert facts["n"] == 5
    assert facts["path"].startswith(str(plane_vae))


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--set", "sampler.outputs=mean"], "did you mean 'output'?"),
        (["--set", "model.width=3"], "this command sets sampler"),
        (["--evaluations", "8"], "vae has no sampler setting 'evaluations'; known: "),
        (["--class", "12"], "Unknown class '12'"),
        (["--class", "seven"], "Unknown class 'seven'"),
        (["--n", "0"], "--n must be at least 1"),
        (["--out", "x.jpg"], "--out takes a .png or an .npz file"),
    ],
)
def test_bad_input_is_one_line(refused, digits_vae, arguments, hint):
    assert hint in refused("sample", digits_vae, *arguments)


def test_nothing_is_overwritten(danlu, refused, plane_vae, tmp_path):
    (tmp_path / "x.npz").write_bytes(b"mine")
    assert "x.npz exists already" in refused("sample", plane_vae, "--out", "x.npz")
    assert (tmp_path / "x.npz").read_bytes() == b"mine"
    run = shutil.copytree(plane_vae, tmp_path / "run")
    for name in ("draw-5.png", "draw-5-2.png", "draw-5-3.png"):
        done = danlu("sample", run, "--n", "9", "--seed", "5", "--json")
        assert json.loads(done.out)["path"] == str(run / "samples" / name)


def test_a_class_of_data_unconditionales(refused, plane_vae):
    assert "the data has no classes" in refused("sample", plane_vae, "--class", "cat")


def test_a_race_is_no_run(refused, digits_vae):
    assert "choose one of its runs: vae" in refused("sample", digits_vae.parent)


def test_a_run_without_weights(danlu, refused, digits_vae, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.yaml").write_text((digits_vae / "config.yaml").read_text())
    assert "has no checkpoint to load" in refused("sample", "empty")


@pytest.mark.long
def test_an_evaluation_of_one_class_is_of_its_samples_and_held_out_examples(
    danlu, digits_vae, tmp_path
):
    done = danlu("eval", digits_vae, "--class", "3", "--n", "40", "--out", tmp_path / "one")
    assert done.code == 0
    results = json.loads((tmp_path / "one" / "results.json").read_text())
    assert results["held_out"] == int((open_source("digits").test.ids == 3).sum())


def test_an_evaluation_refuses_what_no_example_is_told(refused, digits_vae):
    assert "Unknown class '12'" in refused("eval", digits_vae, "--class", "12")
    assert "is told no tokens" in refused("eval", digits_vae, "--prompt", "a three")
