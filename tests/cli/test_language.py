"""Text from a file to a run, and from a run to text."""

import json

import pytest
import torch

from danlu import load
from danlu.cli.main import main
from danlu.layers import kernels
from danlu.runs.folders import create, open_run
from danlu.runs.train import Surroundings, open_data, train
from danlu.training import Hook

TEXT = "".join(f"The {i % 7}th hare ran {i % 5} times around the tree.\n" for i in range(300))
SMALL = ("--size", 16, "--set", "model.dim=8", "--set", "model.heads=2", "--set", "train.batch=4")


def command(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "book.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def run(book, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "lm"
    assert command("train", "lm", "--data", book, "--steps", 4, "--out", folder, *SMALL) == 0
    return folder


@pytest.fixture(scope="module")
def masked(book, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "mlm"
    assert command("train", "mlm", book, "--steps", 2, "--out", folder, *SMALL) == 0
    return folder


def test_a_run_writes_texts_and_held_out_figures(run):
    lines = (run / "samples" / "pictures.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert (run / rows[-1]["text"]).read_text().startswith("--- 1 ---\n")
    assert set(rows[-1]["figures"]) >= {"nats_per_token", "bits_per_character", "perplexity"}


class StopAfterTwo(Hook):
    """Asks for a stop after the second round."""

    def on_round(self, trainer, progress):
        if trainer.status().step == 2:
            trainer.interrupt()


def test_stopped_and_resumed_is_straight(run, tmp_path):
    config = open_run(run).config
    half = create(tmp_path / "half", config)
    source = open_data(config.data)
    assert train(half, source, Surroundings(hooks=[StopAfterTwo()])).interrupted
    assert train(half, source).steps == 4
    whole, resumed = load(run).state_dict(), load(tmp_path / "half").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_text_is_drawn_after_a_prompt(danlu, run):
    done = danlu("sample", run, "--n", 1, "--prompt", "The hare", "--set", "sampler.length=40")
    assert done.code == 0
    text = (run / "samples" / "draw-0.txt").read_text()
    assert text.startswith("The hare")
    assert len(text) == 8 + 40 + 1
    assert set(text) <= set(TEXT)
    assert text in done.out


def test_figures_of_the_test_split(danlu, run, masked):
    found = json.loads(danlu("eval", run, "--json").out)
    assert 2 < found["bits_per_character"]["value"] < 6
    assert found["windows"]["value"] > 10
    lines = danlu("eval", masked, "--split", "validation").out
    assert "masked accuracy: 0." in lines
    assert "windows of the validation split" in lines


def test_several_files_are_one_text(danlu, book, tmp_path):
    (tmp_path / "more.txt").write_text("Other words? " * 200)
    done = danlu("train", "lm", "--data", book, "more.txt", "--steps", 1, "--out", "both", *SMALL)
    assert "of 2 files" in done.out
    assert danlu("train", "--resume", "both", "--steps", 2).code == 0


def test_a_masked_model_draws_nothing(refused, masked):
    assert "fills in blanks" in refused("sample", masked)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["lm", "--data", "{book}", "--set", "model.mixer=fnet"], "fnet sees the tokens to come"),
        (["lm", "--data", "{book}", "--set", "model.mixer=sofmax"], "did you mean 'softmax'"),
        (["lm", "--data", "{book}", "--set", "model.parts=size=4"], "Unknown part of softmax"),
        (["lm", "--data", "{book}", "--size", "9999"], "windows of 9999 need"),
        (["lm", "--data", "nowhere.txt"], "There is no file or folder"),
        (["lm", "{book}", "--data", "{book}"], "Give the data once"),
        (["vae", "{book}"], "Text is learned by `danlu train lm"),
        (["vae", "--data", "{book}", "{book}"], "Several files are for lm and mlm"),
        (["lm", "--data", "{book}", "--set", "data.unit=words"], "Unknown unit of text"),
        (["vae", "digits", "--set", "data.unit=bytes"], "Unknown data setting 'unit'"),
    ],
)
def test_bad_input_is_one_line(refused, book, arguments, hint):
    given = [argument.format(book=book) for argument in arguments]
    assert hint in refused("train", *given)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--prompt", "Ünknown"], "has no 'k', 'w', 'Ü'"),
        (["--set", "sampler.length=0"], "length must be at least 2 tokens"),
        (["--set", "sampler.top_k=0"], "top_k must be at least 1"),
        (["--out", "x.png"], "write a .txt file"),
    ],
)
def test_bad_wishes_are_one_line(refused, run, arguments, hint):
    assert hint in refused("sample", run, *arguments)


def test_kernels_that_cannot_be_built_are_said_before_a_folder_is_made(
    refused, book, tmp_path, monkeypatch
):
    monkeypatch.setattr(kernels, "_KERNELS", kernels.Kernels())
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "extensions"))
    monkeypatch.setenv("CXX", "/bin/false")
    folder = tmp_path / "run"
    asked = ("--set", "train.kernels=true", "--out", folder)
    assert "kernels cannot be built here" in refused("train", "lm", "--data", book, *asked)
    assert not folder.exists()


@pytest.mark.long
def test_a_run_with_kernels_learns_the_same(book, tmp_path):
    asked = ("train", "lm", "--data", book, "--steps", 6, "--set", "model.mixer=mamba2", *SMALL)
    assert command(*asked, "--out", tmp_path / "torch") == 0
    assert command(*asked, "--out", tmp_path / "kernels", "--set", "train.kernels=true") == 0
    policy = json.loads((tmp_path / "kernels" / "environment.json").read_text())["policy"]
    assert policy["kernels"]
    one, other = (load(tmp_path / name).state_dict() for name in ("torch", "kernels"))
    for name, weight in one.items():
        torch.testing.assert_close(weight, other[name], rtol=1e-3, atol=1e-4)
