"""Training from the command line: new runs, resuming, repeating, settings."""

import json

import pytest
import torch
import yaml

from danlu import load
from danlu.runs.folders import open_run

VAE = ("train", "vae", "two-moons", "--set", "model.width=8", "--set", "train.batch=16")


def weights(folder):
    return load(folder).state_dict()


def assert_same_bits(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_is_a_folder_with_everything_in_it(danlu, tmp_path):
    done = danlu(*VAE, "--steps", "4", "--seed", "5")
    assert done.code == 0
    assert done.out.startswith("device: cpu (")
    folder = tmp_path / "runs" / "vae-two-moons"
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["model"]["width"] == 8
    assert config["plan"]["optimizers"]["model"]["rate"] > 0
    assert config["seed"] == 5
    assert config["budget"] == {"minutes": None, "steps": 4}
    assert json.loads((folder / "environment.json").read_text())["policy"]["device"] == "cpu"
    assert (folder / "checkpoints" / "LATEST").read_text().split()[0] == "000004"
    assert list((folder / "samples").glob("*.png"))


def test_resumed_steps_equal_straight_steps(danlu):
    assert danlu(*VAE, "--steps", "6", "--out", "straight").code == 0
    assert danlu(*VAE, "--steps", "6", "--out", "two", "--json").code == 0
    before = weights("two")
    done = danlu("train", "--resume", "two", "--steps", "9")
    assert done.code == 0
    assert danlu("train", "--resume", "straight", "--steps", "9").code == 0
    assert_same_bits(weights("straight"), weights("two"))
    assert any(not torch.equal(before[name], value) for name, value in weights("two").items())
    assert open_run("two").config.budget.steps == 9


def test_a_finished_run_says_how_to_go_on(danlu, refused):
    danlu(*VAE, "--steps", "3", "--out", "run")
    before = weights("run")
    line = refused("train", "--resume", "run")
    assert "run is finished, after 3 steps" in line
    assert "danlu train --resume run --steps 6" in line
    assert_same_bits(before, weights("run"))


def test_a_timed_run_is_repeated_bit_for_bit(danlu):
    assert danlu(*VAE, "--minutes", "0.003", "--out", "timed").code == 0
    assert danlu("train", "--replay", "timed", "--out", "again").code == 0
    assert_same_bits(weights("timed"), weights("again"))


def test_json_is_alone_on_standard_output(danlu):
    done = danlu(*VAE, "--steps", "2", "--json")
    facts = json.loads(done.out)
    assert facts["steps"] == 2
    assert facts["examples"] == 32
    assert "device: cpu" in done.err


def test_a_setting_reaches_its_part(danlu):
    sets = [
        "model.likelihood=gaussian",
        "optimizer.schedule=cosine",
        "optimizer.model.betas=0.5,0.9",
        "train.average=3",
        "sampler.draws=4",
    ]
    flags = [word for item in sets for word in ("--set", item)]
    assert danlu(*VAE, "--steps", "1", "--out", "run", *flags).code == 0
    config = open_run("run").config
    options = config.plan.optimizer("model")
    assert (options.schedule, options.betas) == ("cosine", (0.5, 0.9))
    assert config.plan.average == 3.0
    assert config.sampler["draws"] == 4


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("model.widht=8", "did you mean 'width'?"),
        ("modle.width=8", "did you mean 'model'?"),
        ("model.width=wide", "model.width takes a whole number, got 'wide'"),
        ("model.width", "A setting reads room.field=value"),
        ("optimizer.name=adamm", "did you mean 'adam'?"),
        ("optimizer.betas=1", "optimizer.betas takes"),
        ("optimizer.critic.rate=1", "Unknown optimizer setting 'critic.rate'"),
        ("train.batch=0", "batch"),
        ("sampler.drawz=3", "did you mean 'draws'?"),
        ("data.flips=true", "Flips are for images"),
    ],
)
def test_a_bad_setting_is_one_line(refused, setting, hint):
    assert hint in refused("train", "vae", "two-moons", "--steps", "1", "--set", setting)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["vea", "digits"], "Unknown family 'vea'; did you mean 'vae'?"),
        (["vae", "digit"], "did you mean 'digits'?"),
        (["vae", "no/such/folder"], "There is no file or folder no/such/folder"),
        (["vae"], "Give a family and data"),
        (["--resume", "nowhere"], "nowhere is no run"),
        (["--resume", "nowhere", "--out", "x"], "--set and --out are for new runs"),
        (["vae", "digits", "--resume", "nowhere"], "leave them out"),
        (["--replay", "nowhere", "--steps", "3"], "leave out --set, --minutes, --steps"),
        (["vae", "digits", "--steps", "0"], "budget must be positive"),
        (["vae", "digits", "--minutes", "0"], "budget must be positive and finite, got 0"),
        (["--resume", "nowhere", "--seed", "0"], "leave out --seed"),
        (["--resume", "nowhere", "--device", "cpu", "--size", "8"], "leave out --size, --device"),
        (["os:path", "digits"], "os:path is no class of models"),
        (["vae", "digits", "--size", "16"], "--size and --label are for folders"),
        (["vae", "digits", "--device", "tpu9"], "There is no device 'tpu9' here"),
        (["no.such.module:Model", "digits"], "Cannot import no.such.module"),
        (["danlu.cli.console:consol_for", "digits"], "did you mean 'console_for'?"),
    ],
)
def test_bad_input_is_one_line(refused, arguments, hint):
    assert hint in refused("train", *arguments)


@pytest.mark.parametrize(
    ("family", "setting", "hint"),
    [
        ("vae", "model.width=-3", "These model settings do not work"),
        ("vae", "model.width=0", "These model settings do not work"),
        ("rectified-flow", "model.width=7", "These model settings do not work"),
        ("vae", "optimizer.name=adamm", "Unknown optimizer 'adamm'"),
        ("vae", "optimizer.betas=2,3", "These optimizer settings do not work"),
    ],
)
def test_settings_that_do_not_work_leave_no_folder(refused, tmp_path, family, setting, hint):
    assert hint in refused("train", family, "digits", "--steps", "1", "--set", setting)
    assert not (tmp_path / "runs").exists()


def test_an_old_run_is_not_overwritten(danlu, refused):
    danlu(*VAE, "--steps", "1", "--out", "run")
    line = refused(*VAE, "--steps", "1", "--out", "run")
    assert "run exists already" in line
    assert "danlu train --resume run" in line


def test_a_shorter_budget_cannot_be_gone_on_with(danlu, refused):
    danlu(*VAE, "--steps", "4", "--out", "run")
    assert "has trained 4 steps already" in refused("train", "--resume", "run", "--steps", "4")
