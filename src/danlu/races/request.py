"""Who enters a race and with what: the request, and a member for each run."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from danlu.contracts import DanluError
from danlu.generative import FAMILIES as KNOWN
from danlu.runs.config import DataChoice, RunConfig
from danlu.runs.families import Classes
from danlu.runs.folders import Run
from danlu.training.records import inside, shown

RACERS = ("vae", "gan", "flow", "vq", "ddpm", "rectified-flow")
FAMILIES = tuple(name for name in RACERS if name in KNOWN)
"""Who races unless others are named: those of `RACERS` that the table has."""
LEAST_SECONDS = 20.0


KEPT = "features"
"""Folder of a race with the network of one's own that it measures with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What race.json keeps of a request; see `RaceRequest`. `features` is a path in its folder."""

    data: DataChoice
    minutes: float | None
    examples: int | None
    parameters: int | None
    families: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: tuple[str, ...]
    device: str
    features: str | None
    neighbours: bool
    command: str
    track: str | None

    def request(self, folder: Path, classes: Classes, features: Path | None) -> "RaceRequest":
        """The request of the race in a folder.

        Raises:
            DanluError: the file names a feature network that is not in the folder.
        """
        if features is None and self.features is not None:
            try:
                features = inside(folder, self.features)
            except DanluError as error:
                raise DanluError(f"{error} Name it: --features {shown(self.features)}.") from None
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return RaceRequest(**{**own, "folder": folder, "classes": classes, "features": features})


@dataclass(frozen=True, kw_only=True, slots=True)
class RaceRequest:
    """What a race was asked for.

    Attributes:
        data: which data.
        folder: where it goes.
        minutes: for everything, for each seed; None where `examples` is the budget.
        examples: that each model sees, in place of minutes.
        parameters: that each model has, as nearly as its width allows; None takes the recipes'.
        families: who races.
        seeds: each is a race of its own; with several their rows become means.
        settings: for every family, or for one by `family.room.field=value`.
        device: cpu, cuda or auto.
        features: a network of one's own.
        neighbours: whether training images may be shown.
        classes: builders of foreign families.
        command: as it was typed.
        track: a name of TRACKERS, or none.
        spent: seconds of the budget that are over already, such as those of the first imports.
    """

    data: DataChoice
    folder: Path
    minutes: float | None = None
    examples: int | None = None
    parameters: int | None = None
    families: Sequence[str] = FAMILIES
    seeds: Sequence[int] = (0,)
    settings: Sequence[str] = ()
    device: str = "auto"
    features: Path | None = None
    neighbours: bool = True
    classes: Classes = None
    command: str = ""
    track: str | None = None
    spent: float = 0.0

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.examples is None):
            raise DanluError("The budget of a race is either minutes or examples: give one.")
        if self.minutes is not None and 60 * self.minutes < LEAST_SECONDS:
            raise DanluError(f"A race needs at least {LEAST_SECONDS:.0f} seconds.")
        if (self.examples or 1) < 1 or (self.parameters or 1) < 1:
            raise DanluError("A race needs at least one example and one parameter.")
        if not self.seeds or not self.families:
            raise DanluError("A race needs at least one family and one seed.")
        for what, named in (("family", self.families), ("seed", self.seeds)):
            if len(set(named)) < len(named):
                raise DanluError(f"A {what} is named twice: {', '.join(map(str, named))}.")

    @property
    def seed(self) -> int:
        """The first one."""
        return self.seeds[0]

    @property
    def seconds(self) -> float | None:
        """For one seed; None without a budget in time."""
        return None if self.minutes is None else 60 * self.minutes

    def settings_of(self, family: str) -> list[str]:
        """The settings that concern a family; `family.room.field=value` is for one alone."""
        chosen = []
        for item in self.settings:
            owner = next((each for each in self.families if item.startswith(f"{each}.")), None)
            if owner in (None, family):
                chosen.append(item if owner is None else item.removeprefix(f"{owner}."))
        return chosen

    def folder_of(self, family: str) -> Path:
        """The folder of a run."""
        return self.folder / family.rpartition(":")[2]

    def of_seed(self, seed: int) -> "RaceRequest":
        """The race of one of several seeds, in a folder of its own."""
        spent = self.spent if seed == self.seed else 0.0
        return replace(self, seeds=(seed,), folder=self.folder / f"seed-{seed}", spent=spent)

    def asked(self) -> Asked:
        """What race.json keeps, without what only this process knows."""
        own = {each.name: getattr(self, each.name) for each in fields(Asked)}
        features = None if self.features is None else f"{KEPT}/{self.features.name}"
        lists = {name: tuple(own[name]) for name in ("families", "seeds", "settings")}
        return Asked(**{**own, **lists, "features": features})


@dataclass(slots=True)
class Member:
    """One run of the race.

    Attributes:
        family: whose it is.
        config: what it will be trained with; its budget comes from the plan.
        run: its folder, once it trains.
        failure: why it has no figures.
    """

    family: str
    config: RunConfig
    run: Run | None = None
    failure: str = ""

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.family if self.run is None else self.run.folder.name
