"""How a race spends its minutes: a clock with parts, and a plan from measured speeds.

All models get the same training time. What comes after training is reserved before it, from speeds
that are measured on this machine with untrained models, since these cost the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf, isinf, isnan
from time import monotonic, perf_counter

from danlu.runs.hooks import CELLS, LAST_CELLS, MOMENTS, SHARE

MOST_SAMPLES, LEAST_SAMPLES = 1000, 100
MOST_POINTS = 200
BLOCK = 50
"""Samples that are drawn before looking at the clock again."""
SAMPLING_SHARE, EVIDENCE_SHARE, EFFORT_SHARE = 0.15, 0.08, 0.05
"""Most of the whole time for samples, for likelihoods, and for samples of other efforts."""
EVIDENCE_SECONDS = 60.0
"""For the likelihood of one run, where the whole time is not limited."""
EFFORT_COST = 4.0
"""What a curve against evaluations costs, in samples of the usual effort for each of its points."""
KERNEL_SECONDS = 1.0
"""For fitting the kernel density, besides the scoring of its samples."""
LEAST_TRAINING = 0.3
"""Share of what is left that training gets in any case."""
NEIGHBOURS, SAVING, WRITING = 0.5, 0.5, 3.0
"""Seconds for a picture of neighbours, for a checkpoint, and for the report."""
SLACK = 0.03
"""Share of the whole time that is not planned."""


class Clock:
    """The time of an experiment, by part: planned and used seconds; some may be spent before."""

    def __init__(self, seconds: float, spent: float = 0.0) -> None:
        self.seconds = seconds
        self.planned: dict[str, float] = {}
        self.used: dict[str, float] = {}
        self._began = monotonic() - spent

    @property
    def elapsed(self) -> float:
        """Seconds that are over."""
        return monotonic() - self._began

    @property
    def left(self) -> float:
        """Seconds to the end; negative when it is over."""
        return self.seconds - self.elapsed

    def rewind(self, elapsed: float, used: Mapping[str, float]) -> None:
        """Go back to where `elapsed` seconds were over and parts had taken `used`."""
        self._began, self.used = monotonic() - elapsed, dict(used)

    def plan(self, parts: Mapping[str, float]) -> None:
        """Set what parts may take; a part that is over keeps its plan."""
        for part, seconds in parts.items():
            if part not in self.used:
                self.planned[part] = max(0.0, seconds)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Charge what happens inside to a part."""
        began = perf_counter()
        try:
            yield
        finally:
            self.used[name] = self.used.get(name, 0.0) + perf_counter() - began

    def split(self) -> dict[str, tuple[float, float]]:
        """Part -> (planned seconds, used seconds)."""
        names = {**self.planned, **self.used}
        return {name: (self.planned.get(name, 0.0), self.used.get(name, 0.0)) for name in names}


@dataclass(frozen=True, kw_only=True, slots=True)
class Allotment:
    """The plan after the speeds are known.

    Attributes:
        samples: samples behind the figures of every model.
        points: samples behind a point of a curve over training.
        efforts: samples behind a point of a curve against evaluations; 0 leaves these out.
        training: training seconds of every model; infinite where examples are counted instead.
        scoring: seconds to score one model.
        parts: part -> planned seconds.
    """

    samples: int
    points: int
    efforts: int
    training: float
    scoring: float
    parts: Mapping[str, float]

    def __post_init__(self) -> None:
        if isnan(self.training):  # a file holds null for it
            object.__setattr__(self, "training", inf)


def first_split(seconds: float, features: float) -> dict[str, float]:
    """The split before any speed is known."""
    rest = seconds - features
    return {
        "features": features,
        "probe": 0.04 * rest,
        "training": 0.63 * rest,
        "samples": 0.08 * rest,
        "likelihood": 0.06 * rest,
        "yardsticks": 0.04 * rest,
        "metrics": 0.04 * rest,
        "kernel density": 0.02 * rest,
        "evaluations": EFFORT_SHARE * rest,
        "report": min(WRITING, 0.04 * rest),
    }


def sample_count(costs: Iterable[float], seconds: float) -> int:
    """Samples that every run can give within the share of the whole time.

    Args:
        costs: seconds for one sample of every run.
        seconds: of the race.
    """
    affordable = SAMPLING_SHARE * seconds / max(sum(costs), 1e-9)
    return max(LEAST_SAMPLES, int(min(MOST_SAMPLES, affordable)) // BLOCK * BLOCK)


def allot(clock: Clock, costs: Sequence[float], *, samples: int, scoring: float) -> Allotment:
    """Reserve what comes after training; training gets the rest in equal parts.

    Where the whole time is not limited, every part takes what it needs.

    Args:
        clock: of the race.
        costs: seconds for one sample of every run.
        samples: behind the figures of every run.
        scoring: seconds to score one run.
    """
    runs = len(costs)
    each = EFFORT_COST * sum(costs)
    efforts = int(min(MOST_POINTS, EFFORT_SHARE * clock.seconds / max(each, 1e-9)))
    efforts = efforts if efforts >= CELLS else 0
    after = {
        "samples": samples * sum(costs),
        "likelihood": min(EVIDENCE_SHARE * clock.seconds, runs * EVIDENCE_SECONDS),
        "metrics": runs * (scoring + NEIGHBOURS),
        "kernel density": scoring + NEIGHBOURS + KERNEL_SECONDS,
        "evaluations": efforts * each,
        "report": WRITING,
    }
    if isinf(clock.seconds):
        return Allotment(
            samples=samples,
            points=MOST_POINTS,
            efforts=efforts,
            training=inf,
            scoring=scoring,
            parts=after,
        )
    free = clock.left - sum(after.values()) - SLACK * clock.seconds
    free = max(free, LEAST_TRAINING * clock.left)
    last = LAST_CELLS * sum(costs) + runs * SAVING
    affordable = SHARE * free / runs / len(MOMENTS) / max(*costs, 1e-9)
    return Allotment(
        samples=samples,
        points=int(min(MOST_POINTS, max(CELLS, affordable))),
        efforts=efforts,
        training=max(1.0, (free - last) / runs / (1 + SHARE)),
        scoring=scoring,
        parts={"training": free, **after},
    )
