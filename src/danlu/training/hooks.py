"""What happens around training: hooks, the facts they read, and the outcome of a run."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from danlu.contracts import Progress, Stage
from danlu.training.policy import Policy
from danlu.training.processes import Processes, SingleProcess


@runtime_checkable
class Training(Protocol):
    """What a hook may ask of the trainer."""

    def status(self) -> "Status":
        """Where the run stands."""
        ...

    def averaged(self) -> AbstractContextManager[Any]:
        """The model with its averaged weights, in evaluation mode."""
        ...

    def interrupt(self) -> None:
        """Stop after this round, with a checkpoint."""
        ...


class Hook:
    """Reacts to training; every method does nothing unless overridden.

    The clock stands still while hooks run. Use `trainer.averaged()` for what a model can do.
    """

    def on_stage(self, trainer: Training, stage: Stage) -> None:
        """A stage begins, or is gone on with."""

    def on_round(self, trainer: Training, progress: Progress) -> None:
        """A round is over; `progress` says how far the stage now is."""

    def on_notice(self, trainer: Training, text: str) -> None:
        """Something that the user should know, in one line."""

    def on_end(self, trainer: Training, outcome: "Outcome") -> None:
        """The run is over, or interrupted."""

    def close(self) -> None:
        """Let go of what is held; called also when training fails."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRun:
    """Where a run lives and what surrounds it.

    Attributes:
        folder: the run folder; None writes no file and cannot resume.
        seed: of everything random in the run.
        hooks: called in this order.
        policy: how the hardware is used; None chooses. A folder that has one recorded keeps it.
        checkpoint_seconds: training seconds between checkpoints.
        checkpoint_steps: rounds between checkpoints, in place of seconds.
        replay: a run folder whose logged fractions take the place of the budget.
        processes: the processes that train together.
    """

    folder: Path | None = None
    seed: int = 0
    hooks: Sequence[Hook] = ()
    policy: Policy | None = None
    checkpoint_seconds: float = 60.0
    checkpoint_steps: int | None = None
    replay: Path | None = None
    processes: Processes = field(default_factory=SingleProcess)


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """Where a run stands, for people.

    Attributes:
        stage: name of the stage.
        step: rounds finished in all stages.
        fraction: share of the whole run that is done, in [0, 1].
        seconds: training seconds.
        seconds_left: estimated training seconds to the end of the run.
        examples: examples consumed, counting every play.
        examples_per_second: over the last rounds.
        losses: player -> part -> value, of the last round.
    """

    stage: str
    step: int
    fraction: float
    seconds: float
    seconds_left: float
    examples: int
    examples_per_second: float
    losses: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        steps: rounds finished, with those before a resume.
        examples: examples consumed, with those before a resume.
        seconds: training seconds, with those before a resume.
        interrupted: whether it was stopped before its budget was spent.
        fraction: share of the budget of the last stage that was spent.
        hook_seconds: seconds of this process in hooks.
        checkpoint_seconds: seconds of this process in saving.
        notices: what the user should know.
    """

    steps: int
    examples: int
    seconds: float
    interrupted: bool
    fraction: float
    hook_seconds: float
    checkpoint_seconds: float
    notices: tuple[str, ...]
