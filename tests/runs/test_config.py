"""Resolved configs and recipes: complete, readable again, and true to their families."""

from dataclasses import fields, replace

import pytest
import torch
import yaml

from danlu.contracts import Classes, DanluError, DataDescription, DataKind, Method
from danlu.data import open_source
from danlu.generative import FAMILIES
from danlu.generative.recipe import Regime, regime_of
from danlu.generative.vae.vae import build as build_vae
from danlu.runs.config import DataChoice, RunConfig, resolve
from danlu.runs.recipes import recipe_for
from danlu.runs.settings import Settings, settings_of
from danlu.training import Budget
from danlu.training.records import VERSION, read_yaml, record_yaml, sealed

COMMON = {"low": -1.0, "high": 1.0}
DESCRIPTIONS = {
    Regime.VECTOR: DataDescription(shape=(2,), levels=None, **COMMON),
    Regime.SMALL_IMAGE: DataDescription(
        kind=DataKind.IMAGE, shape=(1, 8, 8), levels=17, condition=Classes(10), **COMMON
    ),
    Regime.IMAGE: DataDescription(kind=DataKind.IMAGE, shape=(3, 32, 32), levels=256, **COMMON),
    Regime.TEXT: DataDescription(
        kind=DataKind.TEXT, shape=(16,), levels=3, low=0.0, high=2.0, alphabet="abc"
    ),
    Regime.STREAM: DataDescription(kind=DataKind.STREAM, shape=(9, 4), levels=None, **COMMON),
    Regime.VIDEO: DataDescription(kind=DataKind.VIDEO, shape=(5, 3, 8, 8), levels=256, **COMMON),
}
RECIPES = {
    (family, regime): recipe
    for family, row in FAMILIES.items()
    for regime, recipe in row.recipes.items()
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


def test_regimes_of_data():
    assert {regime: regime_of(data) for regime, data in DESCRIPTIONS.items()} == {
        regime: regime for regime in Regime
    }


@pytest.mark.parametrize("kind", DataKind)
def test_a_kind_has_its_axes(kind):
    shapes = {data.kind: data.shape for data in DESCRIPTIONS.values()}
    for other, shape in shapes.items():
        if len(shape) != len(shapes[kind]):
            alphabet = "abc" if kind is DataKind.TEXT else None
            with pytest.raises(DanluError, match=f"of kind {kind} has axes"):
                DataDescription(kind=kind, shape=shape, levels=3, alphabet=alphabet, **COMMON)
            assert other is not kind


def test_a_kind_is_declared_and_not_guessed(moons):
    with pytest.raises(DanluError, match="kind vector has axes"):
        DataDescription(shape=(3, 8, 8), levels=None, **COMMON)
    with pytest.raises(DanluError, match="Text has an alphabet"):
        DataDescription(shape=(16,), levels=3, alphabet="", **COMMON)
    two_letters = replace(DESCRIPTIONS[Regime.TEXT], shape=(2,))
    assert moons.description.is_plane
    assert not two_letters.is_plane


@pytest.mark.parametrize("kind", [DataKind.TEXT, DataKind.STREAM, DataKind.VIDEO])
def test_a_family_refuses_kinds_that_it_does_not_learn(moons, kind):
    data = next(data for data in DESCRIPTIONS.values() if data.kind is kind)
    with pytest.raises(DanluError, match=f"vae learns no {kind}; (lm and mlm do|nobody does)"):
        resolved(replace(moons, description=data))


def test_what_formats_without_kinds_held_is_read(moons, tmp_path):
    path = tmp_path / "config.yaml"
    for source, family in ((moons, "vae"), (open_source("digits"), "vae")):
        config = resolved(source, family)
        raw = config.to_dict()
        del raw["description"]["kind"], raw["description"]["condition"]
        raw["description"]["classes"] = source.description.classes
        path.write_text(yaml.safe_dump(sealed({VERSION: 2, **raw})))
        assert read_yaml(path, RunConfig) == (config, "")


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
    regimes = set(Regime) - {Regime.STREAM, Regime.VIDEO}  # nobody learns them yet
    refused = {("autoregressive", Regime.VECTOR)}
    every = {
        (family, kind)
        for family, method in FAMILIES.items()
        for kind in regimes
        if (DataKind.TEXT in method.kinds) == (kind is Regime.TEXT)
    }
    assert every - refused == set(RECIPES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_config_survives_yaml(moons, family, tmp_path):
    has_recipe = (family, Regime.VECTOR) in RECIPES
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
