"""Resolved configs and recipes: complete, readable again, and true to their families."""

from dataclasses import fields, replace

import pytest
import torch

from danlu.contracts import Classes, DanluError, DataDescription, Method
from danlu.data import open_source
from danlu.generative import FAMILIES
from danlu.generative.vae.vae import build as build_vae
from danlu.runs.config import DataChoice, RunConfig, resolve
from danlu.runs.recipes import RECIPES, Kind, kind_of, recipe_for
from danlu.runs.settings import Settings, settings_of
from danlu.training import Budget
from danlu.training.records import read_yaml, record_yaml

DESCRIPTIONS = {
    Kind.VECTOR: DataDescription(shape=(2,), levels=None, low=-4.0, high=4.0),
    Kind.SMALL_IMAGE: DataDescription(
        shape=(1, 8, 8), levels=17, low=-1.0, high=1.0, condition=Classes(10)
    ),
    Kind.IMAGE: DataDescription(shape=(3, 32, 32), levels=256, low=-1.0, high=1.0),
    Kind.TEXT: DataDescription(shape=(16,), levels=3, low=0.0, high=2.0, alphabet="abc"),
}


@pytest.fixture(scope="module")
def moons():
    return open_source("two-moons")


def resolved(source, family="vae", settings=(), **rest):
    return resolve(
        family,
        source,
        DataChoice(source="two-moons"),
        Budget(steps=3),
        settings=Settings(settings),
        **rest,
    )


def test_kinds_of_data():
    assert {kind: kind_of(description) for kind, description in DESCRIPTIONS.items()} == {
        kind: kind for kind in Kind
    }


@pytest.mark.parametrize(("family", "kind"), RECIPES, ids=lambda part: str(part).replace(" ", "-"))
def test_every_recipe_fits_its_family(family, kind):
    recipe = RECIPES[family, kind]
    assert recipe_for(family, replace(DESCRIPTIONS[kind], condition=Classes(3))) is recipe
    build = FAMILIES[family].build
    assert recipe.model.keys() <= settings_of(build).keys()
    model = build(DESCRIPTIONS[kind], **recipe.model)
    assert recipe.options.keys() <= {field.name for field in fields(model.Options)}
    model.check_options(model.Options(**recipe.options))
    assert recipe.plan.optimizers.keys() <= {"default", *model.players()}


def test_every_family_has_recipes():
    # Levels alone can be predicted one after another.
    refused = {("autoregressive", Kind.VECTOR)}
    every = {
        (family, kind)
        for family, method in FAMILIES.items()
        for kind in Kind
        if getattr(method.target, "texts", False) == (kind is Kind.TEXT)
    }
    assert every - refused == set(RECIPES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_config_survives_yaml(moons, family, tmp_path):
    has_recipe = (family, Kind.VECTOR) in RECIPES
    config = resolved(moons if has_recipe else open_source("digits"), family)
    path = tmp_path / "config.yaml"
    path.write_text(record_yaml(config.to_dict()))
    assert read_yaml(path, RunConfig) == (config, "")
    assert config.model.keys() == settings_of(FAMILIES[family].build).keys()
    assert config.plan.optimizers.keys() == config.build().players().keys()


def test_settings_win_over_recipes_and_recipes_over_defaults(moons):
    defaults, plain = (
        settings_of(FAMILIES["rectified-flow"].build),
        resolved(moons, "rectified-flow"),
    )
    recipe = recipe_for("rectified-flow", moons.description)
    assert plain.model["width"] == recipe.model["width"] != defaults["width"]
    assert resolved(moons, "rectified-flow", ["model.width=24"]).model["width"] == 24


def test_an_optimiser_setting_for_one_player(moons):
    config = resolved(moons, "gan", ["optimizer.rate=0.5", "optimizer.critic.rate=0.25"])
    assert config.plan.optimizer("critic").rate == 0.25
    assert config.plan.optimizer("generator").rate == 0.5


def test_first_weights_are_a_function_of_the_seed(moons):
    first, again = (resolved(moons, seed=3).build().state_dict() for _ in range(2))
    other = resolved(moons, seed=4).build().state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_building_leaves_the_random_state_alone(moons):
    config = resolved(moons)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    config.build()
    assert torch.equal(torch.rand(3), expected)


def test_a_foreign_family_needs_no_table(moons):
    for builder in (build_vae, Method(build_vae, ("mine",), build_vae)):
        config = resolved(moons, "mine:VAE", ["model.width=8"], classes={"mine:VAE": builder})
        assert config.model["width"] == 8
        assert config.build({"mine:VAE": builder}).description == moons.description
    with pytest.raises(DanluError, match="classes="):
        config.build()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": "one"}, "seed is 'one'; expected a whole number"),
        ({"plan": {"batch": "many"}}, "plan.batch is 'many'; expected a whole number"),
        ({"plan": {"batch": 0}}, "A batch of 0 cannot be computed in 1 parts"),
        ({"surprise": 1}, "surprise is 1, but there is no such key"),
        ({"family": None}, "family is None; expected string"),
        ({"budget": {"steps": 3, "minutes": 1.0}}, "give exactly one of them"),
        ({"class_names": ["cat"]}, "class_names has 1 names for 0 classes"),
        ({"data": ["two-moons"]}, r"data is \['two-moons'\]; expected keys and values"),
    ],
)
def test_one_line_says_what_does_not_fit(moons, tmp_path, change, said):
    path = tmp_path / "config.yaml"
    path.write_text(record_yaml({**resolved(moons).to_dict(), **change}))
    with pytest.raises(DanluError, match=said) as told:
        read_yaml(path, RunConfig)
    assert str(told.value).startswith(str(path))


def test_settings_of_another_type_are_refused(moons):
    config = resolved(moons)
    config = replace(config, model={**config.model, "width": "wide"})
    with pytest.raises(DanluError, match="settings of vae: width is 'wide'; expected a whole numb"):
        config.build()


def test_a_row_that_was_added_at_run_time(moons, monkeypatch):
    monkeypatch.setitem(FAMILIES, "mine", Method(build_vae, ("mine",), build_vae))
    config = resolved(moons, "mine")
    assert (
        replace(config, family="vae").build().state_dict().keys()
        == config.build().state_dict().keys()
    )
