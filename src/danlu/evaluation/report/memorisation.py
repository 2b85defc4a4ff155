"""Memorisation: how near samples lie to training examples, beside the floor row's distance."""

from danlu.evaluation.caveats import COPIES, surely_below
from danlu.evaluation.facts import amount, facts_of
from danlu.evaluation.markup import Safe, join, table, tag
from danlu.evaluation.results import Measured, Results, Row, RowKind
from danlu.evaluation.verdict import LEVEL, Verdict, ordered, standard_errors

KEY = "neighbour-distance"
SHOWN = (RowKind.MODEL, RowKind.NON_PARAMETRIC, RowKind.FLOOR, RowKind.TRAIN_COPY)
LEGEND = (
    "The median distance of a sample to its nearest training example, over that of held-out data: "
    "fresh data has about 1, a copy 0. Soft or averaged samples lie below 1 without being copies, "
    "so look at the pairs too."
)


def memorisation(results: Results, verdict: Verdict) -> Safe | None:
    """A line for each row with the distance; None where it was not measured."""
    rows = [row for row in ordered(results, verdict) if row.kind in SHOWN and KEY in row.metrics]
    if not rows:
        return None
    floor = next((row.metrics[KEY] for row in rows if row.kind is RowKind.FLOOR), None)
    head = ["Row", "Relative distance", "Against the floor row", "Reading"]
    lines = [_line(row, floor) for row in rows]
    return join(
        table("Distance to the nearest training example", head, [lines]),
        tag("p", LEGEND, class_="quiet"),
    )


def reading(distance: Measured, floor: Measured | None) -> str:
    """What a relative distance says, in words."""
    if surely_below(distance, COPIES):
        return "repeats training examples, or nearly"
    if floor is None:
        return "no floor row to compare with"
    if standard_errors(distance, floor) <= LEVEL:
        return "as far as fresh data"
    return "nearer than fresh data" if distance.value < floor.value else "farther than fresh data"


def _line(row: Row, floor: Measured | None) -> Safe:
    distance = row.metrics[KEY]
    is_floor = row.kind is RowKind.FLOOR
    cells = [amount(distance, facts_of(KEY)), "–" if is_floor else _against(distance, floor)]
    words = "the floor itself" if is_floor else reading(distance, floor)
    return tag(
        "tr",
        tag("th", row.name, scope="row"),
        *(tag("td", cell) for cell in cells),
        tag("td", words, class_="words"),
        class_=None if row.kind is RowKind.MODEL else "yardstick",
    )


def _against(distance: Measured, floor: Measured | None) -> str:
    if floor is None or not floor.value:
        return "–"
    apart = standard_errors(distance, floor)
    return f"{distance.value / floor.value:.2f} times, {apart:.1f} standard errors"
