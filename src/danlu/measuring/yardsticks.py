"""Rows of real and damaged real data: what a perfect model, or a memoriser, would get."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from danlu.evaluation.corruptions import Yardstick
from danlu.evaluation.metrics.cloud import subset
from danlu.evaluation.pictures import grid
from danlu.evaluation.results import Picture, Row
from danlu.evaluation.scoring import needed, score
from danlu.measuring.held_out import Yard
from danlu.runs.drawing import COLUMNS, POINTS, drawable

FOLDER = "yardsticks"
CELLS = 40


def scored(yardstick: Yardstick, yard: Yard, home: Path) -> Row:
    """The row of a yardstick, with a picture of its examples."""
    row = Row(name=yardstick.name, kind=yardstick.kind, samples=len(yardstick.x))
    asked = (yardstick.x, yardstick.classes, yard.reference, yard.spaces)
    row.metrics, row.needs = score(*asked), needed(*asked)
    description = yard.reference.description
    if drawable(description):
        x = yardstick.x[subset(len(yardstick.x), CELLS if description.is_image else POINTS)]
        words = "".join(c if c.isalnum() else "-" for c in yardstick.name)
        path = grid(x, description, path=home / FOLDER / f"{words}.png", columns=COLUMNS)
        alt = f"{len(x)} examples of {yardstick.name}."
        row.grids = [Picture(0.0, path.relative_to(home).as_posix(), alt)]
    return row


def scored_in_time(
    rows: Sequence[Yardstick], yard: Yard, home: Path, *, seconds: float, each: float
) -> tuple[list[Row], list[str]]:
    """The rows that fit into the time, and the names of those that do not.

    Args:
        rows: what is to be scored.
        yard: against which.
        home: folder of the results.
        seconds: that are left.
        each: estimated seconds for one row of as many examples as a model has samples.
    """
    found: list[Row] = []
    for index, yardstick in enumerate(rows):
        if each > seconds:
            return found, [left.name for left in rows[index:]]
        began = perf_counter()
        found.append(scored(yardstick, yard, home))
        each = perf_counter() - began
        seconds -= each
    return found, []
