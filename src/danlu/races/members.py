"""Who enters: the members of a race with their settings, sized and limited as was asked for."""

from collections.abc import Iterator
from dataclasses import replace

from danlu.contracts import DanluError
from danlu.data import Source
from danlu.races.request import Member, RaceRequest
from danlu.races.sizing import FIELD, parameter_count, steps_for, width_for
from danlu.runs.config import RunConfig, resolve
from danlu.runs.settings import Settings
from danlu.training import Budget

GIVEN = f"model.{FIELD}="


def members_of(request: RaceRequest, source: Source) -> list[Member]:
    """One for each family, with the width and the steps that the request comes to.

    Raises:
        DanluError: a setting does not fit, or a family cannot be sized.
    """
    return [Member(family, _config(request, source, family)) for family in request.families]


def sizes(request: RaceRequest, members: list[Member]) -> Iterator[str]:
    """What budgets by parameters and by examples come to, in words; the first is always there."""
    counts = []
    for member in members:
        count = parameter_count(member.config, {}, request.classes)
        width = f" (width {member.config.model[FIELD]})" if request.parameters else ""
        counts.append(f"{member.family} {count:,}{width}")
    asked = f"asked for {request.parameters:,}, reached " if request.parameters else ""
    yield f"Parameters of all players: {asked}{', '.join(counts)}."
    if request.examples is not None:
        steps = ", ".join(f"{each.family} {each.config.budget.steps:,}" for each in members)
        yield f"Steps for {request.examples:,} examples each: {steps}."


def stage_shares(request: RaceRequest, members: list[Member]) -> Iterator[str]:
    """The shares of models that train in several stages."""
    for member in members:
        stages = member.config.build(request.classes).stages()
        if len(stages) > 1:
            shares = ", ".join(f"{stage.name} {stage.share:.0%}" for stage in stages)
            yield f"stages of {member.family}: {shares}"


def _config(request: RaceRequest, source: Source, family: str) -> RunConfig:
    settings = request.settings_of(family)
    config = _resolved(request, source, family, settings)
    if request.parameters is not None:
        if any(item.startswith(GIVEN) for item in settings):
            raise DanluError(f"--parameters chooses the width of {family}; leave out --set {GIVEN}")
        width, _ = width_for(config, request.parameters, request.classes)
        config = _resolved(request, source, family, [*settings, f"{GIVEN}{width}"])
    if request.examples is not None:
        steps = steps_for(config, request.examples, request.classes)
        config = replace(config, budget=Budget(steps=steps))
    return config


def _resolved(request: RaceRequest, source: Source, family: str, settings: list[str]) -> RunConfig:
    return resolve(
        family,
        source,
        request.data,
        Budget(minutes=request.minutes or 1.0),  # replaced by steps, or when the plan is made
        settings=Settings(settings),
        seed=request.seed,
        classes=request.classes,
    )
