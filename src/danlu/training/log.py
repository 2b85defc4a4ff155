"""The run's diary: `metrics.jsonl`, a thinned row for every player, and `fractions.jsonl`.

A resume cuts both back to the checkpoint, so that no line is repeated. Budgets in minutes log
the fraction of every step, with which another run can be repeated exactly.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from danlu.contracts import DanluError
from danlu.training.budget import Spent
from danlu.training.files import sync, write_text

METRICS, FRACTIONS = "metrics.jsonl", "fractions.jsonl"


class Diary:
    """Appends to the two files of a run folder."""

    def __init__(self, folder: Path, spent: Sequence[Spent]) -> None:
        """Cut what lies after `spent`, the stages' progress at which the run goes on."""
        folder.mkdir(parents=True, exist_ok=True)
        step = sum(part.steps for part in spent)
        _rewrite(folder / METRICS, [row for row in _rows(folder / METRICS) if row["step"] <= step])
        kept = [
            {"stage": stage, "fractions": fractions[: spent[stage].steps]}
            for stage, fractions in enumerate(read_fractions(folder)[: len(spent)])
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
                sync(self._folder / name)

    def _flush(self) -> None:
        if self._pending:
            row = {"stage": self._stage, "fractions": self._pending}
            _append(self._folder / FRACTIONS, row)
            self._pending = []


def read_fractions(folder: Path) -> list[list[float]]:
    """Stage -> the fraction of each of its steps."""
    stages: list[list[float]] = []
    for row in _rows(folder / FRACTIONS):
        stages += [[] for _ in range(row["stage"] + 1 - len(stages))]
        stages[row["stage"]] += row["fractions"]
    return stages


def replayed(folder: Path) -> list[list[float]]:
    """The fractions of a run that is to be repeated.

    Raises:
        DanluError: the run logged none.
    """
    stages = read_fractions(folder)
    if not stages:
        raise DanluError(
            f"{folder} has no fractions to replay; a run by steps is repeated by the same --steps."
        )
    return stages


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break  # the line that a kill cut off
    return rows


def _rewrite(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows or path.exists():
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def _append(path: Path, row: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
