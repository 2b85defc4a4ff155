"""Run folders: made once, opened, loaded from the folder alone."""

import shutil

import pytest
import torch

import danlu
from danlu.contracts import DanluError
from danlu.data import open_source
from danlu.files import TEMPORARY
from danlu.generative.vae.vae import build
from danlu.runs.config import DataChoice, resolve
from danlu.runs.folders import create, open_run, require_new
from danlu.runs.settings import Settings
from danlu.runs.train import Surroundings, longer, require_unfinished, train
from danlu.training import Budget
from danlu.training.locking import LOCK, held
from danlu.training.weights import load_tensors

NAME = "mine:VAE"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    source = open_source("two-moons")
    config = resolve(
        NAME,
        source,
        DataChoice(source="two-moons"),
        Budget(steps=3),
        settings=Settings(["model.width=8", "train.batch=16"]),
        classes={NAME: build},
    )
    run = create(tmp_path_factory.mktemp("runs") / "mine", config)
    train(run, source, Surroundings(classes={NAME: build}))
    return run


def test_load_takes_the_averaged_weights_from_anywhere(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "moved")
    model = danlu.load(tmp_path / "moved", classes={NAME: build})
    saved = load_tensors(run.folder / "checkpoints" / "000003" / "average.safetensors")
    assert not model.training
    assert all(torch.equal(model.state_dict()[name], value) for name, value in saved.items())


def test_load_imports_nothing_that_a_file_names(run):
    with pytest.raises(DanluError, match="a family of your own"):
        danlu.load(run.folder)


def test_a_config_with_python_in_it_is_not_run(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "evil")
    text = f"family: !!python/object/apply:pathlib.Path.touch [{tmp_path / 'touched'}]\n"
    (tmp_path / "evil" / "config.yaml").write_text(text)
    with pytest.raises(DanluError, match="cannot be read as YAML: could not determine"):
        danlu.load(tmp_path / "evil", classes={NAME: build})
    assert not (tmp_path / "touched").exists()


def test_a_used_folder_is_refused(run, tmp_path):
    with pytest.raises(DanluError, match="--resume"):
        require_new(run.folder)
    (tmp_path / "file").touch()
    with pytest.raises(DanluError, match="exists already"):
        require_new(tmp_path / "file")
    require_new(tmp_path / "new")


def test_what_a_kill_left_before_the_config_is_no_run_and_in_nobodys_way(run, tmp_path):
    with held(tmp_path):
        (tmp_path / f"{TEMPORARY}123-config.yaml").write_text("half")
    again = create(tmp_path, run.config)
    assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK, "config.yaml"]
    with pytest.raises(DanluError, match="--resume"):
        create(again.folder, run.config)


def test_a_run_without_a_checkpoint_takes_a_longer_budget(run, tmp_path):
    begun = create(tmp_path / "begun", run.config)
    require_unfinished(begun)
    assert longer(begun, Budget(steps=2)).config.budget == Budget(steps=2)


def test_a_longer_budget_that_was_recorded_before_a_kill_is_gone_on_with(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "run")
    copied = open_run(tmp_path / "run")
    with pytest.raises(DanluError, match="is finished"):
        require_unfinished(copied)
    require_unfinished(longer(copied, Budget(steps=6)))


def test_budgets_count_from_the_first_step(run):
    for budget in (Budget(steps=3), Budget(minutes=1e-9)):
        with pytest.raises(DanluError, match="already"):
            longer(run, budget)
    assert open_run(run.folder).config.budget == Budget(steps=3)


def test_other_data_than_the_runs_is_refused(run):
    with pytest.raises(DanluError, match="not the data of"):
        train(run, open_source("digits"), Surroundings(classes={NAME: build}))
