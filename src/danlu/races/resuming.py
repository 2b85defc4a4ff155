"""What a race keeps of itself, so that it can go on after Ctrl+C or a kill.

`race.json` holds the request and, after every milestone (the plan is made, a member is trained,
training was interrupted), the seconds that are spent. A member that was killed goes on from its
own checkpoint, whose seconds count; what was done after that checkpoint is lost, and is told
apart from the budget: a race that was killed takes longer, and its models train for as long.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from time import monotonic

from typing_extensions import override

from danlu.contracts import DanluError, Progress
from danlu.evaluation.features import content_of
from danlu.files import whole_file, write_text
from danlu.measuring.planning import Allotment, Clock
from danlu.races.request import KEPT, Asked, RaceRequest
from danlu.runs.families import Classes
from danlu.runs.folders import RACE, RESULTS
from danlu.training import Hook, Training
from danlu.training.checkpoint import load_average
from danlu.training.records import read_json, record_json, text_of

ALIVE = "alive"
BEAT_SECONDS = 1.0
LOST = "lost by interruptions"
"""Part of the split with the seconds whose work was lost."""


@dataclass(kw_only=True, slots=True)
class RaceState:
    """Where a race stands.

    Attributes:
        request: what was asked for.
        elapsed: seconds of the budget at the last milestone.
        used: part -> seconds, then.
        planned: part -> seconds.
        plan: the allotment, once it is made.
        trained: whether the features come from a trained classifier.
        counted: member -> training seconds that `elapsed` holds.
        done: members that are trained.
        failures: member -> why it failed.
        interruptions: how often the race was gone on with.
        lost: seconds whose work was lost.
    """

    request: Asked
    elapsed: float = 0.0
    used: dict[str, float] = field(default_factory=dict)
    planned: dict[str, float] = field(default_factory=dict)
    plan: Allotment | None = None
    trained: bool | None = None
    counted: dict[str, float] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    interruptions: int = 0
    lost: float = 0.0

    @classmethod
    def begun(cls, request: RaceRequest) -> "RaceState":
        """The state of a new race, written into its folder."""
        state = cls(request=request.asked())
        if request.features is not None:
            kept = request.folder / KEPT
            kept.mkdir(parents=True, exist_ok=True)
            with whole_file(kept / request.features.name) as path:
                path.write_bytes(content_of(request.features))
        state.save(request.folder)
        return state

    @classmethod
    def load(cls, folder: Path) -> "tuple[RaceState, str]":
        """The state of a race that was begun, and a notice where it was changed since.

        Raises:
            DanluError: there is none, or it cannot be read.
        """
        path = folder / RACE
        if not path.exists():
            raise DanluError(f"{folder} is no race: it has no {RACE}.")
        return read_json(path, cls)

    def save(self, folder: Path) -> None:
        """Write the file whole, and begin to measure what would be lost from now on."""
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / RACE, record_json(asdict(self)))
        write_text(folder / ALIVE, "0")

    # --- while it runs --------------------------------------------------------------------------

    def milestone(self, folder: Path, clock: Clock, members: Mapping[str, Path]) -> None:
        """Keep the seconds spent so far; `members` are the folders of runs that have begun."""
        self.elapsed, self.used = clock.elapsed, dict(clock.used)
        self.planned = dict(clock.planned)
        self.counted = {name: trained_seconds(place) for name, place in members.items()}
        self.save(folder)

    # --- going on -------------------------------------------------------------------------------

    def resumed(self, folder: Path, members: Mapping[str, Path]) -> None:
        """Count what checkpoints kept since the last milestone, and what was lost."""
        kept = sum(
            max(0.0, trained_seconds(place) - self.counted.get(name, 0.0))
            for name, place in members.items()
        )
        self.lost += max(0.0, _lived(folder) - kept)
        self.elapsed += kept
        self.used["training"] = self.used.get("training", 0.0) + kept
        self.counted = {name: trained_seconds(place) for name, place in members.items()}
        self.interruptions += 1
        self.save(folder)

    def told(self) -> str:
        """What a reader of the figures must know about interruptions; empty without any."""
        if not self.interruptions:
            return ""
        times = "once" if self.interruptions == 1 else f"{self.interruptions} times"
        return (
            f"The race was interrupted {times} and gone on with; at least {self.lost:.0f} s of "
            "work were lost or done again, beyond the budget."
        )


class Heartbeat(Hook):
    """Writes how long ago the last milestone was, about once a second."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ALIVE
        self._began = monotonic()
        self._next = 0.0

    @override
    def on_round(self, trainer: Training, progress: Progress) -> None:
        self.beat()

    def restart(self) -> None:
        """A milestone was kept."""
        self._began, self._next = monotonic(), 0.0

    def beat(self, *, at_once: bool = False) -> None:
        """Write, unless this was done a moment ago."""
        if (now := monotonic()) >= self._next or at_once:
            self._next = now + BEAT_SECONDS
            write_text(self._path, f"{now - self._began:.1f}")


def _lived(folder: Path) -> float:
    """Seconds from the last milestone to the last sign of life; 0 where there is none."""
    try:
        seconds = float(text_of(folder / ALIVE, most=1000) or 0)
    except (DanluError, ValueError):
        return 0.0
    return seconds if 0 <= seconds < inf else 0.0


def trained_seconds(folder: Path) -> float:
    """Training seconds of the newest checkpoint of a run; 0 where there is none."""
    try:
        return load_average(folder)[0].total.seconds
    except DanluError:
        return 0.0


def resumable(folder: Path, classes: Classes = None, features: Path | None = None) -> RaceRequest:
    """The request of a race that is to be gone on with.

    Args:
        folder: of the race.
        classes: builders of foreign families.
        features: a network of one's own, in place of that which the folder holds.

    Raises:
        DanluError: it is finished, or there is no race.
    """
    state, _ = RaceState.load(folder)
    if (folder / RESULTS).exists():
        raise DanluError(
            f"{folder} is a finished race: see {folder / 'report.html'}, which "
            f"`danlu report {folder}` writes again."
        )
    return state.request.request(folder, classes, features)
