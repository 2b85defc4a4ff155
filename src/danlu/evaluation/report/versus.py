"""A page that compares two finished races or runs: figures, samples and settings side by side.

A difference is B − A with the errors of both in quadrature; that both were measured against the
same held-out data is not taken into account. Distances in a feature space whose network differs
have no difference.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from danlu.evaluation.facts import amount, digits, duration, facts_of, order_of
from danlu.evaluation.markup import Safe, join, section, table, tag
from danlu.evaluation.report.album import FITS, Album
from danlu.evaluation.report.page import LIMIT, document
from danlu.evaluation.report.samples import CLOSE
from danlu.evaluation.results import Measured, Results, Row, RowKind
from danlu.evaluation.verdict import (
    LEVEL,
    judge,
    ordered,
    primary_metric,
    seconds_per_thousand,
    standard_errors,
)
from danlu.files import write_text

NAME = "comparison.html"
Change = tuple[str, str, str]
"""A setting, its value in A and its value in B."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: how a person calls it, where it lies, and what was found."""

    name: str
    folder: Path
    results: Results


def write_comparison(
    a: Side, b: Side, changes: Sequence[Change], path: Path, *, neighbours: bool = True
) -> Path:
    """Write the page: one file that needs no network.

    Args:
        a: the first one.
        b: the second one; differences are B − A.
        changes: settings that differ.
        path: of the page.
        neighbours: whether pictures of training examples may be on it.
    """
    for fit in FITS:
        albums = Album(a.folder, fit), Album(b.folder, fit)
        text = _page(a, b, changes, albums, neighbours=neighbours)
        if len(text.encode()) <= LIMIT:
            break
    write_text(path, text)
    return path


def pairs(a: Results, b: Results) -> list[tuple[Row, Row]]:
    """Rows of the same name and kind; of two runs with a model each, these two."""
    known = {(row.kind, row.name): row for row in b.rows}
    found = [
        (row, known[row.kind, row.name])
        for row in ordered(a, judge(a))
        if (row.kind, row.name) in known
    ]
    models = [[row for row in side.rows if row.kind is RowKind.MODEL] for side in (a, b)]
    if all(len(rows) == 1 for rows in models) and models[0][0].name != models[1][0].name:
        found.insert(0, (models[0][0], models[1][0]))
    return found


def incomparable(a: Results, b: Results) -> list[str]:
    """What speaks against comparing the figures at all, in sentences."""
    told = []
    for what, first, second in (
        ("data", a.data, b.data),
        ("reference", a.reference, b.reference),
        ("number of held-out examples", a.held_out, b.held_out),
    ):
        if first != second:
            told.append(f"The {what} differs: {first} and {second}.")
    sampled = [{r.samples for r in side.rows if r.kind is RowKind.MODEL} for side in (a, b)]
    if sampled[0] != sampled[1]:
        told.append("The number of samples behind the figures differs; distances depend on it.")
    told += [f"The network of the features “{space}” differs; their distances have no difference."
             for space in sorted(_foreign_spaces(a, b))]  # fmt: skip
    return told


def difference(first: Measured, second: Measured) -> Measured:
    """Second minus first, with the errors in quadrature; None where one is not known."""
    known = first.stderr is not None and second.stderr is not None
    error = math.hypot(first.stderr or 0.0, second.stderr or 0.0) if known else None
    return Measured(second.value - first.value, error)


def reading(key: str, first: Measured, second: Measured) -> str:
    """Whether B is better, worse or level, in words."""
    apart = standard_errors(first, second)
    if apart <= LEVEL:
        return f"level, {apart:.1f} standard errors" if apart else "the same"
    facts = facts_of(key)
    bad = facts.badness(first.value), facts.badness(second.value)
    word = "differs"
    if bad[0] is not None and bad[1] is not None:
        word = "B is better" if bad[1] < bad[0] else "B is worse"
    return word if math.isinf(apart) else f"{word}, {apart:.1f} standard errors"


def _page(
    a: Side, b: Side, changes: Sequence[Change], albums: tuple[Album, Album], *, neighbours: bool
) -> str:
    found = pairs(a.results, b.results)
    foreign = _foreign_spaces(a.results, b.results)
    title = f"{a.name} against {b.name}"
    hidden = () if neighbours else CLOSE
    parts = [
        ("Figures", "Differences are B − A; ± is one standard error.", _figures(found, foreign)),
        ("Samples", "A on the left, B on the right.", _samples(found, albums, hidden)),
        ("Settings that differ", None, _changes(changes)),
        ("Without a counterpart", None, _alone(a, b, found)),
    ]
    header = tag(
        "header",
        tag("h1", title),
        tag("ul", *(tag("li", line) for line in _told(a, b, found)), class_="reasons"),
        tag("p", f"A: {a.results.title} · B: {b.results.title}", class_="quiet"),
    )
    body = [section(name, part, lead=lead) for name, lead, part in parts if part]
    return document(title, header, tag("main", *body))


def _told(a: Side, b: Side, found: list[tuple[Row, Row]]) -> Iterator[str]:
    yield from incomparable(a.results, b.results)
    foreign = _foreign_spaces(a.results, b.results)
    for first, second in found:
        if first.kind is not RowKind.MODEL:
            continue
        key = primary_metric([first, second])
        if not key or key.partition("@")[2] in foreign:
            continue
        facts, one, two = facts_of(key), first.metrics[key], second.metrics[key]
        yield (
            f"{_pair_name(first, second)}: {facts.title} {amount(one, facts)} in A, "
            f"{amount(two, facts)} in B; {reading(key, one, two)}."
        )


def _figures(found: list[tuple[Row, Row]], foreign: set[str]) -> Safe | None:
    tables = [_pair_table(first, second, foreign) for first, second in found]
    return join(*tables) if tables else None


def _pair_table(first: Row, second: Row, foreign: set[str]) -> Safe:
    keys = sorted({*first.metrics, *second.metrics}, key=order_of)
    lines = [_figure_line(key, first, second, foreign) for key in keys]
    lines += [
        tag("tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in cells))
        for name, *cells in _costs(first, second)
    ]
    caption = _pair_name(first, second)
    return table(caption, ["Figure", "A", "B", "Difference", "Reading"], [lines])


def _figure_line(key: str, first: Row, second: Row, foreign: set[str]) -> Safe:
    facts, one, two = facts_of(key), first.metrics.get(key), second.metrics.get(key)
    cells = ["–" if each is None else amount(each, facts) for each in (one, two)]
    told = ["–", "not measured in both"]
    if facts.space in foreign:
        told = ["–", "other features"]
    elif one is not None and two is not None:
        apart = difference(one, two)
        value, error = digits(apart, facts)
        told = [f"{value} ± {error}" if error else value, reading(key, one, two)]
    name = f"{facts.title} ({facts.space})" if facts.space else facts.title
    return tag(
        "tr",
        tag("th", name, scope="row"),
        *(tag("td", cell) for cell in (*cells, told[0])),
        tag("td", told[1], class_="words"),
    )


def _costs(first: Row, second: Row) -> Iterator[tuple[str, str, str, str, str]]:
    """Counts and seconds, whose differences need no error."""
    thousand = seconds_per_thousand(first), seconds_per_thousand(second)
    for name, values, shown in (
        ("Parameters", (first.parameters, second.parameters), "{:,}".format),
        ("Examples seen", (first.examples, second.examples), "{:,}".format),
        ("Steps", (first.steps, second.steps), "{:,}".format),
        ("Training", (first.train_seconds, second.train_seconds), duration),
        ("Sampling 1,000", thousand, duration),
    ):
        one, two = values
        if one is not None and two is not None:
            ratio = f"{two / one:.2f} times" if one else "–"
            yield name, shown(one), shown(two), ratio, "–"


def _samples(
    found: list[tuple[Row, Row]], albums: tuple[Album, Album], hidden: Sequence[RowKind]
) -> Safe | None:
    cards = []
    for first, second in found:
        if first.kind in hidden or not (first.grids and second.grids):
            continue
        last = [max(row.grids, key=lambda each: each.seconds) for row in (first, second)]
        figures = [
            tag("figure", album.large(picture), tag("figcaption", f"{side}: {row.name}"))
            for album, picture, side, row in zip(albums, last, "AB", (first, second), strict=True)
        ]
        cards += [tag("h3", _pair_name(first, second)), tag("div", *figures, class_="two")]
    return join(*cards) if cards else None


def _changes(changes: Sequence[Change]) -> Safe:
    if not changes:
        return tag("p", "None: both were asked for the same.")
    lines = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            *(tag("td", value, class_="words") for value in values),
        )
        for name, *values in changes
    ]
    return table("What was asked for", ["Setting", "A", "B"], [lines])


def _alone(a: Side, b: Side, found: list[tuple[Row, Row]]) -> Safe | None:
    used = {id(row) for pair in found for row in pair}
    lines = [
        tag("li", f"{row.name}, only in {side.name}")
        for side in (a, b)
        for row in side.results.rows
        if id(row) not in used
    ]
    return tag("ul", *lines) if lines else None


def _pair_name(first: Row, second: Row) -> str:
    return first.name if first.name == second.name else f"{first.name} (A), {second.name} (B)"


def _foreign_spaces(a: Results, b: Results) -> set[str]:
    """Feature spaces that both have, with different networks."""
    return {
        name
        for name in a.features.keys() & b.features.keys()
        if a.features[name].get("hash") != b.features[name].get("hash")
    }
