"""Who enters a race and with what: the request, and a member for each run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from danlu.contracts import DanluError
from danlu.experiments.config import DataChoice, RunConfig
from danlu.experiments.families import Classes
from danlu.experiments.runs import Run

FAMILIES = ("vae", "gan", "rectified-flow")
"""Who races unless others are named."""
LEAST_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RaceRequest:
    """What a race was asked for.

    Attributes:
        data: which data.
        minutes: for everything.
        folder: where it goes.
        families: who races.
        seeds: runs of each family.
        seed: the first of them.
        settings: for every family, or for one by `family.room.field=value`.
        device: cpu, cuda or auto.
        features: a network of one's own.
        neighbours: whether training images may be shown.
        classes: builders of foreign families.
        command: as it was typed.
        spent: seconds of the budget that are over already, such as those of the first imports.
    """

    data: DataChoice
    minutes: float
    folder: Path
    families: Sequence[str] = FAMILIES
    seeds: int = 1
    seed: int = 0
    settings: Sequence[str] = ()
    device: str = "auto"
    features: Path | None = None
    neighbours: bool = True
    classes: Classes = None
    command: str = ""
    spent: float = 0.0

    def __post_init__(self) -> None:
        if 60 * self.minutes < LEAST_SECONDS:
            raise DanluError(f"A race needs at least {LEAST_SECONDS:.0f} seconds.")
        if self.seeds < 1 or not self.families:
            raise DanluError("A race needs at least one family and one seed.")
        if len(set(self.families)) < len(self.families):
            raise DanluError("A family is named twice in --families; use --seeds for repeats.")

    def settings_of(self, family: str) -> list[str]:
        """The settings that concern a family; `family.room.field=value` is for one alone."""
        chosen = []
        for item in self.settings:
            owner = next((each for each in self.families if item.startswith(f"{each}.")), None)
            if owner in (None, family):
                chosen.append(item if owner is None else item.removeprefix(f"{owner}."))
        return chosen

    def folder_of(self, family: str, seed: int) -> Path:
        """The folder of a run: FAMILY, and FAMILY-seed1 and so on for further seeds."""
        name, repeat = family.rpartition(":")[2], seed - self.seed
        return self.folder / (f"{name}-seed{repeat}" if repeat else name)


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
