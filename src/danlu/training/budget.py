"""Budgets in minutes or in steps, and the clock that each gives to a stage.

Only training counts: the time of hooks and checkpoints is not charged. A stage gets its share of
what the earlier stages left, so the whole budget is used whatever they really took. No stage is
left without a step.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from danlu.contracts import DanluError


@dataclass(frozen=True, slots=True)
class Spent:
    """Rounds and training seconds."""

    steps: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.steps + other.steps, self.seconds + other.seconds)


@runtime_checkable
class Clock(Protocol):
    """How far a stage is, from what it has spent."""

    def fraction(self, spent: Spent) -> float:
        """Share of the stage's budget that is spent, in [0, 1]."""
        ...

    def over(self, spent: Spent, round_seconds: float) -> bool:
        """Whether the stage must end, given how long its next round takes, about."""
        ...

    def seconds_left(self, spent: Spent, round_seconds: float) -> float:
        """Training seconds until the stage ends."""
        ...


@dataclass(frozen=True, slots=True)
class StepClock:
    """Ends after a number of rounds."""

    total: int

    def fraction(self, spent: Spent) -> float:
        """Steps over the total."""
        return min(1.0, spent.steps / self.total) if self.total > 0 else 1.0

    def over(self, spent: Spent, round_seconds: float) -> bool:
        """After the last step."""
        return spent.steps >= self.total

    def seconds_left(self, spent: Spent, round_seconds: float) -> float:
        """Steps to go at the present rate."""
        return max(0, self.total - spent.steps) * round_seconds


@dataclass(frozen=True, slots=True)
class TimeClock:
    """Ends before the round that would overrun the time; takes one step in any case."""

    total: float

    def fraction(self, spent: Spent) -> float:
        """Seconds over the total."""
        return min(1.0, spent.seconds / self.total) if self.total > 0 else 1.0

    def over(self, spent: Spent, round_seconds: float) -> bool:
        """When another round does not fit."""
        return spent.steps > 0 and spent.seconds + round_seconds > self.total

    def seconds_left(self, spent: Spent, round_seconds: float) -> float:
        """What remains of the total."""
        return max(0.0, self.total - spent.seconds)


@dataclass(frozen=True, slots=True)
class ReplayClock:
    """Repeats the fractions that another run logged, step by step."""

    fractions: Sequence[float]

    def fraction(self, spent: Spent) -> float:
        """The fraction of the same step of the other run."""
        return self.fractions[spent.steps] if spent.steps < len(self.fractions) else 1.0

    def over(self, spent: Spent, round_seconds: float) -> bool:
        """Where the other run ended."""
        return spent.steps >= len(self.fractions)

    def seconds_left(self, spent: Spent, round_seconds: float) -> float:
        """Steps to go at the present rate."""
        return max(0, len(self.fractions) - spent.steps) * round_seconds


@dataclass(frozen=True, slots=True)
class Budget:
    """The length of a run: either minutes of training or steps (rounds of all players).

    Attributes:
        minutes: training minutes.
        steps: rounds; with steps, a run on one machine is reproducible bit for bit.
    """

    minutes: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise DanluError("A budget is either minutes or steps: give exactly one of them.")
        length = self.minutes if self.minutes is not None else self.steps or 0
        if not 0 < length < math.inf:
            raise DanluError(f"A budget must be positive, got {self.minutes or self.steps}.")

    def clock(self, shares: Sequence[float], before: Spent) -> Clock:
        """The clock of a stage.

        Args:
            shares: shares of this stage and of those still to come.
            before: what the stages before it spent.

        Raises:
            DanluError: there are fewer steps than stages.
        """
        part = shares[0] / sum(shares)
        if self.steps is not None:
            if before.steps == 0 and self.steps < len(shares):
                raise DanluError(
                    f"A budget of steps={self.steps} is too short: each of the {len(shares)} "
                    "stages takes at least one step."
                )
            left = self.steps - before.steps
            own = max(1, round(left * part))
            # The later stages keep a step each; this one has one even if the budget was cut.
            return StepClock(max(1, min(own, left - len(shares) + 1)))
        assert self.minutes is not None
        return TimeClock((60.0 * self.minutes - before.seconds) * part)
