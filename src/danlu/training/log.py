"""The run's diary: `metrics.jsonl`, a thinned row for every player, and `fractions.jsonl`.

A resume cuts both back to the checkpoint, so that no line is repeated. Budgets in minutes log
the fraction of every step, with which another run can be repeated exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from danlu.contracts import DanluError
from danlu.files import append_text, sync, telling, write_text
from danlu.training.budget import Spent
from danlu.training.records import read_rows, row_json

METRICS, FRACTIONS = "metrics.jsonl", "fractions.jsonl"
MOST_STAGES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricsRow:
    """What one player did in one step.

    Attributes:
        step: rounds finished in all stages.
        seconds: training seconds.
        stage: name of the stage.
        fraction: share of the stage's budget that is spent.
        player: whose row it is.
        losses: part -> value.
        rate: of learning.
        grad_norm: before clipping.
        examples_per_second: over the last rounds.
    """

    step: int
    seconds: float
    stage: str
    fraction: float
    player: str
    losses: Mapping[str, float]
    rate: float
    grad_norm: float
    examples_per_second: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FractionsRow:
    """Fractions of successive steps of a stage."""

    stage: int
    fractions: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.stage < MOST_STAGES:
            raise DanluError(f"stage must lie in 0 to {MOST_STAGES - 1}, got {self.stage}.")
        if not all(0 <= value <= 1 for value in self.fractions):
            raise DanluError("a fraction lies in 0 to 1.")


class Diary:
    """Appends to the two files of a run folder.

    Attributes:
        notices: what was left out of the files of before.
    """

    def __init__(self, folder: Path, spent: Sequence[Spent]) -> None:
        """Cut what lies after `spent`, the stages' progress at which the run goes on."""
        folder.mkdir(parents=True, exist_ok=True)
        step = sum(part.steps for part in spent)
        rows, self.notices = read_metrics(folder)
        _rewrite(folder / METRICS, [asdict(row) for row in rows if row.step <= step])
        stages, notices = read_fractions(folder)
        self.notices += notices
        kept = [
            {"stage": stage, "fractions": fractions[: spent[stage].steps]}
            for stage, fractions in enumerate(stages[: len(spent)])
        ]
        _rewrite(folder / FRACTIONS, kept)
        self._folder = folder
        self._pending: list[float] = []
        self._stage = 0

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row of metrics."""
        _append(self._folder / METRICS, row)

    def fraction(self, stage: int, value: float) -> None:
        """Remember the fraction of a step."""
        if stage != self._stage:
            self._flush()
            self._stage = stage
        self._pending.append(value)

    def sync(self) -> None:
        """Everything so far is on the disk."""
        self._flush()
        for name in (METRICS, FRACTIONS):
            if (self._folder / name).exists():
                with telling(self._folder / name):
                    sync(self._folder / name)

    def _flush(self) -> None:
        if self._pending:
            row = {"stage": self._stage, "fractions": self._pending}
            self._pending = []  # first: a disk that takes no more is told once
            _append(self._folder / FRACTIONS, row)


def read_metrics(folder: Path) -> tuple[list[MetricsRow], list[str]]:
    """The rows of a run, and a notice about lines that are left out."""
    return read_rows(folder / METRICS, MetricsRow)


def read_fractions(folder: Path) -> tuple[list[list[float]], list[str]]:
    """Stage -> the fraction of each of its steps, and a notice about lines that are left out."""
    stages: list[list[float]] = []
    rows, notices = read_rows(folder / FRACTIONS, FractionsRow)
    for row in rows:
        stages += [[] for _ in range(row.stage + 1 - len(stages))]
        stages[row.stage] += row.fractions
    return stages, notices


def replayed(folder: Path) -> list[list[float]]:
    """The fractions of a run that is to be repeated.

    Raises:
        DanluError: the run logged none, or not all of them can be read.
    """
    stages, notices = read_fractions(folder)
    if notices:
        raise DanluError(f"{folder} cannot be replayed step by step: {notices[0]}")
    if not stages:
        raise DanluError(
            f"{folder} has no fractions to replay; a run by steps is repeated by the same --steps."
        )
    return stages


def _rewrite(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows or path.exists():
        write_text(path, "".join(row_json(row) for row in rows))


def _append(path: Path, row: Mapping[str, Any]) -> None:
    append_text(path, row_json(row))
