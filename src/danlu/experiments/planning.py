"""How a race spends its minutes: a clock with parts, and a plan from measured speeds.

All models get the same training time. What comes after training is reserved before it, from speeds
that are measured on this machine with untrained models, since these cost the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, perf_counter

from danlu.experiments.hooks import CELLS, LAST_CELLS, MOMENTS, SHARE

MOST_SAMPLES, LEAST_SAMPLES = 1000, 100
MOST_EVIDENCE, LEAST_EVIDENCE = 500, 8
SAMPLING_SHARE, EVIDENCE_SHARE = 0.15, 0.08
"""Most of the whole time for samples and for likelihoods."""
LEAST_TRAINING = 0.3
"""Share of what is left that training gets in any case."""
PICTURES_AT_END, SAVING, WRITING = 1.0, 0.5, 3.0
"""Seconds for neighbours and grids of a model, for its checkpoint, and for the report."""
SLACK = 0.03
"""Share of the whole time that is not planned."""


class Clock:
    """The time of an experiment, by part: planned and used seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.planned: dict[str, float] = {}
        self.used: dict[str, float] = {}
        self._began = monotonic()

    @property
    def left(self) -> float:
        """Seconds to the end; negative when it is over."""
        return self.seconds - (monotonic() - self._began)

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
class Speed:
    """What one family costs here.

    Attributes:
        sample: seconds for one sample.
        evidence: seconds for the likelihood of one example; 0 where there is none.
    """

    sample: float
    evidence: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Allotment:
    """The plan after the speeds are known.

    Attributes:
        samples: samples behind the figures of every model.
        training: training seconds of every model.
        evidence: family -> examples behind its likelihood; 0 leaves it out.
        parts: part -> planned seconds.
        scoring: seconds to score one model.
    """

    samples: int
    training: float
    evidence: Mapping[str, int]
    parts: Mapping[str, float]
    scoring: float


def first_split(seconds: float, features: float) -> dict[str, float]:
    """The split before any speed is known."""
    rest = seconds - features
    return {
        "features": features,
        "probe": 0.04 * rest,
        "training": 0.7 * rest,
        "samples": 0.08 * rest,
        "likelihood": 0.06 * rest,
        "yardsticks": 0.04 * rest,
        "metrics": 0.04 * rest,
        "report": min(WRITING, 0.04 * rest),
    }


def sample_count(speeds: Iterable[Speed], seeds: int, seconds: float) -> int:
    """Samples that every model can give within the share of the whole time."""
    cost = seeds * sum(speed.sample for speed in speeds)
    wanted = SAMPLING_SHARE * seconds / cost if cost > 0 else MOST_SAMPLES
    return int(min(MOST_SAMPLES, max(LEAST_SAMPLES, wanted)))


def allot(
    clock: Clock, speeds: Mapping[str, Speed], *, samples: int, scoring: float, seeds: int
) -> Allotment:
    """Reserve what comes after training; training gets the rest in equal parts.

    Args:
        clock: of the race.
        speeds: family -> what it costs.
        samples: behind the figures of every model.
        scoring: seconds to score one model.
        seeds: runs of each family.
    """
    whole, runs = clock.seconds, len(speeds) * seeds
    each = EVIDENCE_SHARE * whole / runs
    evidence = {name: _examples(each, speed.evidence) for name, speed in speeds.items()}
    drawing = seeds * samples * sum(speed.sample for speed in speeds.values())
    likelihood = seeds * sum(n * speeds[name].evidence for name, n in evidence.items())
    metrics = runs * (scoring + PICTURES_AT_END)
    reserved = drawing + likelihood + metrics + WRITING + SLACK * whole
    free = max(clock.left - reserved, LEAST_TRAINING * clock.left)
    pictures = seeds * LAST_CELLS * sum(speed.sample for speed in speeds.values())
    training = max(1.0, (free - pictures - runs * SAVING)) / runs / (1 + _hooks(speeds, free))
    return Allotment(
        samples=samples,
        training=training,
        evidence=evidence,
        scoring=scoring,
        parts={
            "training": free,
            "samples": drawing,
            "likelihood": likelihood,
            "metrics": metrics,
            "report": WRITING,
        },
    )


def _hooks(speeds: Mapping[str, Speed], free: float) -> float:
    """Share of training that pictures and curves will take."""
    cells = len(MOMENTS) * (CELLS + 200)
    wanted = sum(speed.sample for speed in speeds.values()) * cells / max(free, 1e-9)
    return min(SHARE, wanted + 0.02)


def _examples(seconds: float, cost: float) -> int:
    if cost <= 0:
        return 0
    affordable = int(seconds / cost)
    return 0 if affordable < LEAST_EVIDENCE else min(MOST_EVIDENCE, affordable)
