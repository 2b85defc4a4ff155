"""What a run was asked for, fully resolved: every field of every part, written as YAML.

`resolve` puts three layers together, the later ones winning: defaults of the family's builder and
options, the recipe, and the user's settings. What is written can be read back without the recipe,
so a run goes on in the same way after the recipes have changed.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any

import torch
from typing_extensions import TypedDict

import danlu
from danlu.contracts import (
    DanluError,
    DataDescription,
    derive_seed,
)
from danlu.data import Source
from danlu.data.fingerprints import SplitFacts, fingerprint
from danlu.generative.base import GenerativeModel
from danlu.generative.recipe import Recipe
from danlu.optim import OptimizerOptions, named_parameters
from danlu.runs.families import Classes, builder_of, learners
from danlu.runs.options import changed, flat, option_fields, plain, tuples
from danlu.runs.recipes import recipe_for, with_optimizer
from danlu.runs.settings import Fields, Settings, fields_of, parse, settings_of, types_of
from danlu.runs.trying import explained, require_working, try_out
from danlu.training import Budget, Plan
from danlu.training.records import is_readable, typed

POLICY_FIELDS = {"compile": bool, "kernels": bool}
"""Settings of `train` that belong to the speed policy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataChoice:
    """Which data a run learns from.

    Attributes:
        source: a name in `SOURCES`, or an absolute path.
        size: side of the images of a folder, or tokens of a window of text.
        label: how a folder gives classes.
        flips: whether images are mirrored half of the time.
        unit: what is a token of text, characters or bytes; None where the path is no text.
        reader: how a file of text is read.
        more: further paths of a text.
    """

    source: str
    size: int | None = None
    label: str = "none"
    flips: bool = False
    unit: str | None = None
    reader: str = "plain"
    more: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """A run's config.yaml.

    Attributes:
        family: name of the family.
        data: which data.
        description: what the data is, enough to build the model.
        class_names: one for each class id.
        model: settings of the family's builder.
        plan: how it trains.
        sampler: fields of the family's options.
        budget: how long it trains.
        seed: of everything random.
        version: of danlu, when the run was made.
        splits: what the data held when the run was made; earlier versions kept nothing.
    """

    family: str
    data: DataChoice
    description: DataDescription
    class_names: tuple[str, ...]
    model: Mapping[str, Any]
    plan: Plan
    sampler: Mapping[str, Any]
    budget: Budget
    seed: int
    version: str = danlu.__version__
    splits: Mapping[str, SplitFacts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Files have no tuples; constructors take them.
        object.__setattr__(self, "model", tuples(self.model))
        object.__setattr__(self, "sampler", tuples(self.sampler))
        names, classes = len(self.class_names), self.description.classes
        if names not in (0, classes):
            raise DanluError(f"class_names has {names} names for {classes} classes.")

    def build(self, classes: Classes = None) -> GenerativeModel:
        """The model with its first weights, a function of the seed.

        Raises:
            DanluError: the family is unknown, or its settings do not work.
        """
        build = builder_of(self.family, classes)
        typed(self.model, _settings(build), f"The model settings of {self.family}")
        with torch.random.fork_rng(), explained("model"):
            torch.manual_seed(derive_seed(self.seed, "model"))
            return build(self.description, **self.model)

    def options(self, model: GenerativeModel, settings: Settings | None = None) -> Any:
        """The family's options of this run, changed by `sampler.` settings.

        Raises:
            DanluError: a setting is unknown or does not fit.
        """
        known = option_fields(model.Options)
        given = (settings or Settings()).read("sampler", known, self.family)
        kept = flat(self.sampler)
        typed(kept, _options(model.Options), f"The sampler settings of {self.family}")
        return changed(model.Options(), {**kept, **given})

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and words."""
        return plain(asdict(self))


def resolve(
    family: str,
    source: Source,
    data: DataChoice,
    budget: Budget,
    *,
    settings: Settings | None = None,
    seed: int = 0,
    classes: Classes = None,
) -> RunConfig:
    """Everything a run needs, from defaults, recipe and settings; see `resolve_and_build`."""
    given = {"settings": settings, "seed": seed, "classes": classes}
    return resolve_and_build(family, source, data, budget, **given)[0]


def resolve_and_build(
    family: str,
    source: Source,
    data: DataChoice,
    budget: Budget,
    *,
    settings: Settings | None = None,
    seed: int = 0,
    classes: Classes = None,
) -> tuple[RunConfig, GenerativeModel]:
    """Everything a run needs, from defaults, recipe and settings, and its model, untrained.

    Raises:
        DanluError: the family or a setting does not exist, or does not fit the data.
    """
    settings = settings or Settings()
    build = builder_of(family, classes)
    recipe = recipe_for(family, source.description)
    model = {
        **settings_of(build),
        **recipe.model,
        **settings.read("model", types_of(build)),
    }
    flips = settings.read("data", data_fields(data)).get("flips", data.flips)
    config = RunConfig(
        family=family,
        data=replace(data, flips=flips),
        description=source.description,
        class_names=source.class_names,
        model=model,
        plan=recipe.plan,
        sampler={},
        budget=budget,
        seed=seed,
        splits=fingerprint(source),
    )
    example = config.build(classes)
    if (kind := source.description.kind) not in example.kinds:
        others = f"{' and '.join(learners(kind))} do" if learners(kind) else "nobody does"
        raise DanluError(f"{family} learns no {kind}; {others}.")
    if family not in (classes or {}):
        try_out(deepcopy(example))  # a loss may leave statistics behind
    sampler = settings.read("sampler", option_fields(example.Options), family)
    options = changed(example.Options(), {**recipe.options, **sampler})
    plan = _plan(recipe, settings, list(example.players()), len(source.training))
    for player, modules in example.players().items():
        require_working(plan.optimizer(player), named_parameters(example, modules))
    return replace(config, plan=plan, sampler=asdict(options)), example


def data_fields(data: DataChoice) -> dict[str, type]:
    """What `--set data.` can change."""
    return {"flips": bool} if data.unit is None else {"unit": str, "reader": str}


def _plan(recipe: Recipe, settings: Settings, players: list[str], examples: int) -> Plan:
    """The recipe's plan with one complete optimiser for each player, changed by settings."""
    known = {name: kind for name, kind in fields_of(Plan).items() if name != "optimizers"}
    options = {name: kind for name, kind in fields_of(OptimizerOptions).items()
               if name != "schedules"}  # fmt: skip
    own = {f"{player}.{name}": kind for player in players for name, kind in options.items()}
    given = settings.read("optimizer", {**options, **own})
    chosen = settings.read("train", {**known, **POLICY_FIELDS})
    chosen = {name: value for name, value in chosen.items() if name in known}
    plan = replace(recipe.plan, **chosen)
    optimizers = {}
    for player in players:
        shared = {name: value for name, value in given.items() if name in options}
        prefix = f"{player}."
        private = {
            name.removeprefix(prefix): value
            for name, value in given.items()
            if name.startswith(prefix)
        }
        wanted = {**shared, **private}
        usual = recipe.plan.optimizer(player)
        usual = with_optimizer(usual, wanted.get("name", usual.name), examples / plan.batch)
        optimizers[player] = replace(usual, **wanted)
    return replace(plan, optimizers=optimizers)


def asked_of_policy(settings: Settings) -> dict[str, bool]:
    """What was given of `train.compile` and `train.kernels`; they belong to the speed policy."""
    texts = settings.texts["train"]
    return {
        name: parse(texts[name], bool, f"train.{name}") for name in POLICY_FIELDS if name in texts
    }


@cache
def _settings(build: Callable[..., Any]) -> Any:
    """The type of a builder's settings, of which any may be left out."""
    return _partial(types_of(build))


@cache
def _options(options: type) -> Any:
    """The type of the fields of a family's options, of which any may be left out."""
    return _partial(option_fields(options))


def _partial(known: Fields) -> Any:
    kinds = {name: kind if is_readable(kind) else Any for name, kind in known.items()}
    return TypedDict("Partial", kinds, total=False)  # type: ignore[misc]
