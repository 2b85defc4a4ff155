"""Races under several seeds as one result: means with their standard errors.

Each seed is a race of its own with the whole budget, in a folder `seed-N`. A figure of a model is
the mean over seeds. Its standard error over seeds holds all noise of training and sampling, but
from a few seeds it is itself uncertain; so decisions take the larger of it and of the sampling
error within one run, and the tables show both. Yardsticks do not depend on the seed.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from danlu.evaluation.results import EvidenceRow, Measured, Picture, Results, Row, RowKind, StageRow

FITTED = (RowKind.MODEL, RowKind.NON_PARAMETRIC)
"""Kinds of rows that depend on the seed."""


def combined(results: Sequence[Results], folders: Sequence[str], command: str) -> Results:
    """One result of the races of several seeds.

    Args:
        results: of each seed, with the same families.
        folders: of each seed, as the folder of the whole names them.
        command: as it was typed.
    """
    first = results[0]
    rows = []
    for row in first.rows:
        same = zip((_same(row, each) for each in results), folders, strict=True)
        found = [_moved(other, folder) for other, folder in same if other is not None]
        rows.append(merged(found) if row.kind in FITTED else found[0])
    notices = [f"seed {each.seed}: {line}" for each in results for line in each.notices]
    parts = list(dict.fromkeys(part for each in results for part in each.split))
    return replace(
        first,
        title=f"{first.title} for each of {len(results)} seeds",
        rows=rows,
        seeds=len(results),
        split={part: _summed([each.split.get(part, (0.0, 0.0)) for each in results])
               for part in parts},
        command=command,
        notices=[*_failures(results), *_shared(notices, results)],
    )  # fmt: skip


def merged(rows: Sequence[Row]) -> Row:
    """One row: means over the runs that have figures, pictures and curves of the first of them."""
    whole = [row for row in rows if not row.failure]
    if len(whole) < 2:
        return replace((whole or list(rows))[0], seeds=len(whole))
    first = whole[0]
    return replace(
        first,
        metrics={
            name: over([row.metrics[name] for row in whole])
            for name in first.metrics
            if all(name in row.metrics for row in whole)
        },
        evidence=_evidence([row.evidence for row in whole if row.evidence]),
        examples=_rounded(row.examples for row in whole),
        steps=_rounded(row.steps for row in whole),
        train_seconds=mean(row.train_seconds or 0.0 for row in whole),
        sample_seconds=mean(row.sample_seconds or 0.0 for row in whole),
        stages=[_stage(each) for each in zip(*(row.stages for row in whole), strict=False)],
        seeds=len(whole),
    )


def over(figures: Sequence[Measured]) -> Measured:
    """The mean over seeds, with its standard error and the sampling error within one run."""
    values = [figure.value for figure in figures]
    over_seeds = stdev(values) / math.sqrt(len(values))
    known = [figure.stderr for figure in figures if figure.stderr is not None]
    sampling = math.sqrt(mean(error**2 for error in known)) if known else None
    return Measured(mean(values), max(over_seeds, sampling or 0.0), over_seeds, sampling)


def _same(row: Row, results: Results) -> Row | None:
    return next((each for each in results.rows if each.name == row.name), None)


def _moved(row: Row, folder: str) -> Row:
    """The row with its pictures named from the folder above."""
    move = lambda picture: replace(picture, path=(Path(folder) / picture.path).as_posix())
    near: Picture | None = None if row.neighbours is None else move(row.neighbours)
    return replace(row, grids=[move(picture) for picture in row.grids], neighbours=near)


def _failures(results: Sequence[Results]) -> list[str]:
    return [
        f"{row.name} failed with seed {each.seed} and is left out of its means: {row.failure}"
        for each in results
        for row in each.rows
        if row.failure
    ]


def _shared(notices: Sequence[str], results: Sequence[Results]) -> list[str]:
    """Notices of every seed said once."""
    plain = [line.partition(": ")[2] for line in notices]
    return list(
        dict.fromkeys(
            line if plain.count(line) == len(results) else notice
            for notice, line in zip(notices, plain, strict=True)
        )
    )


def _summed(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    planned, used = zip(*parts, strict=True)
    return sum(planned), sum(used)


def _stage(stages: Sequence[StageRow]) -> StageRow:
    steps, seconds = _rounded(s.steps for s in stages), mean(s.seconds for s in stages)
    return replace(stages[0], steps=steps, seconds=seconds)


def _evidence(rows: Sequence[EvidenceRow]) -> EvidenceRow | None:
    if len(rows) < 2:
        return rows[0] if rows else None
    bits = [row.bits_per_dim for row in rows if row.bits_per_dim]
    return replace(
        rows[0],
        nats=over([row.nats for row in rows]),
        bits_per_dim=over(bits) if len(bits) == len(rows) else None,
        examples=_rounded(row.examples for row in rows),
    )


def _rounded(values) -> int:  # noqa: ANN001
    return round(mean(value or 0 for value in values))
