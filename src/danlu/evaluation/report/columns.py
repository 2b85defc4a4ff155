"""The main table: the figures of every row, with what each column means."""

import math
from statistics import median
from typing import Any

from danlu.evaluation.facts import Facts, digits, facts_of, lacking, number, order_of
from danlu.evaluation.markup import Safe, hidden, join, table, tag
from danlu.evaluation.results import Measured, Results, Row, RowKind
from danlu.evaluation.verdict import LEVEL, Verdict, ordered, space_order, standard_errors

ABOUT = {
    RowKind.NON_PARAMETRIC: "keeps the training data in place of learning",
    RowKind.FLOOR: "other real data: the best to expect",
    RowKind.TRAIN_COPY: "what a memoriser would get",
    RowKind.SANITY: "no relation between values: the sanity line",
    RowKind.CORRUPTION: "damaged real data, for scale",
}
ARROWS = {"lower": "↓ ", "higher": "↑ "}
GROUPS = (
    ("Non-parametric: it does not compete", (RowKind.NON_PARAMETRIC,)),
    (
        "Yardsticks: they do not compete",
        (RowKind.FLOOR, RowKind.TRAIN_COPY, RowKind.SANITY, RowKind.CORRUPTION),
    ),
)
LEGEND = (
    "± is one standard error; of several seeds the one over seeds, and below it the sampling error "
    "within one run. Bold and underlined: the best model of a column; "
    "≈ level with it within two standard errors."
)


def comparison(results: Results, verdict: Verdict) -> Safe:
    """The table of the verdict's features, those of other features, the meaning of the columns."""
    keys = sorted({key for row in results.rows for key in (*row.metrics, *row.needs)}, key=order_of)
    if not keys:
        return tag("p", "No figure was measured.")
    rows = ordered(results, verdict)
    spaces = sorted({key.partition("@")[2] for key in keys if "@" in key}, key=_by_space)
    chosen = verdict.metric.partition("@")[2] or (spaces[0] if spaces else "")
    others = [space for space in spaces if space != chosen]
    main = [key for key in keys if key.partition("@")[2] in ("", chosen)]
    main.sort(key=lambda key: key != verdict.metric)  # what decided comes first
    return join(
        _table(f"Quality of the samples{_on(chosen)}", main, rows),
        tag("p", LEGEND, class_="quiet"),
        tag("h3", "What the columns say"),
        tag("dl", *(_meaning(key, results) for key in main), class_="meanings"),
        *(_more(space, keys, rows) for space in others),
    )


def _by_space(space: str) -> tuple[int, str]:
    return space_order(f"@{space}")


def _on(space: str) -> str:
    return f", on the features “{space}”" if space else ""


def _more(space: str, keys: list[str], rows: list[Row]) -> Safe:
    """A table that opens on demand: the same figures on other features."""
    chosen = [key for key in keys if key.partition("@")[2] == space]
    title = f"The same figures{_on(space)}"
    return tag("details", tag("summary", title), _table(title, chosen, rows))


def _table(caption: str, keys: list[str], rows: list[Row]) -> Safe:
    models = [row for row in rows if row.kind is RowKind.MODEL]
    marks = {key: _marks(key, models) for key in keys}
    head: list[Any] = ["Row", *(_head(key) for key in keys)]
    bodies = [[_line(row, keys, marks) for row in models]]
    for title, kinds in GROUPS:
        group = [row for row in rows if row.kind in kinds]
        divider = tag("tr", tag("th", title, colspan=len(head), scope="rowgroup"), class_="divider")
        bodies.append([divider, *(_line(row, keys, marks) for row in group)] if group else [])
    return table(caption, head, bodies)


def _head(key: str) -> Safe:
    facts = facts_of(key)
    told = f"{ARROWS.get(facts.better, '')}{facts.direction}"
    return join(
        tag("span", facts.title, class_="title"),
        tag("span", told, class_="quiet") if told else None,
    )


def _line(row: Row, keys: list[str], marks: dict[str, dict[str, str]]) -> Safe:
    about = ABOUT.get(row.kind)
    head = tag(
        "th",
        tag("span", row.name, class_="title"),
        tag("span", about, class_="quiet") if about else None,
        scope="row",
    )
    if row.failure:
        why = tag("td", f"No figures: {row.failure}", colspan=len(keys), class_="words")
        return tag("tr", head, why)
    cells = (_cell(row, key, marks[key].get(row.name)) for key in keys)
    return tag("tr", head, *cells, class_=None if row.kind is RowKind.MODEL else "yardstick")


def _cell(row: Row, key: str, mark: str | None) -> Safe:
    measured = row.metrics.get(key)
    if measured is None and (lacks := lacking(row, key)):
        return tag("td", tag("span", lacks, class_="quiet"))
    if measured is None:
        return tag("td", tag("span", "–", aria_hidden="true"), hidden("not measured"))
    facts = facts_of(key)
    value, errors = _digits(measured, facts)
    value = f"{value} {facts.unit}".strip()
    noise = join(*(tag("span", f" ± {error}", class_="error") for error in errors))
    if mark == "best":
        return tag("td", tag("strong", value), noise, hidden(" (best)"), class_="best")
    if mark == "level":
        level = tag("span", "≈ ", aria_hidden="true")
        return tag("td", level, value, noise, hidden(" (level with the best)"))
    return tag("td", value, noise)


def _digits(measured: Measured, facts: Facts) -> tuple[str, list[str]]:
    """The value and its errors: of a single run one, of several seeds over seeds and within one."""
    value, error = digits(measured, facts)
    if measured.over_seeds is None:
        return value, [error] if error else []
    errors = [(measured.over_seeds, "over seeds"), (measured.sampling, "within a run")]
    return value, [
        f"{digits(Measured(measured.value, each), facts)[1]} {words}"
        for each, words in errors
        if each
    ]


def _marks(key: str, models: list[Row]) -> dict[str, str]:
    """Row name -> best, or level with the best within the noise; none for a lone model."""
    facts = facts_of(key)
    figures = {
        row.name: row.metrics[key]
        for row in models
        if key in row.metrics and math.isfinite(row.metrics[key].value)
    }
    badness = {name: facts.badness(figure.value) for name, figure in figures.items()}
    known = {name: value for name, value in badness.items() if value is not None}
    if len(known) < 2:
        return {}
    best = min(known, key=lambda name: known[name])
    level = {
        name: "level"
        for name, figure in figures.items()
        if standard_errors(figures[best], figure) <= LEVEL
    }
    return level | {best: "best"}


def _meaning(key: str, results: Results) -> Safe:
    facts = facts_of(key)
    told = facts.direction
    parts = [_sentence(facts.measures), _sentence(told), _noise(key, facts, results)]
    return tag("div", tag("dt", facts.title), tag("dd", " ".join(part for part in parts if part)))


def _noise(key: str, facts: Facts, results: Results) -> str:
    """What the table of metrics says of the noise, and how large it is here."""
    figures = [row.metrics[key] for row in results.rows if key in row.metrics]
    errors = [figure.stderr for figure in figures if figure.stderr is not None]
    scale = 100.0 if facts.unit == "%" else 1.0
    unit = f" {facts.unit}" if facts.unit else ""
    here = f"Here it is about {number(median(errors) * scale)}{unit}." if errors else ""
    said = _sentence(f"noise: {facts.noise[:1].lower()}{facts.noise[1:]}" if facts.noise else "")
    return f"{said} {here}".strip()


def _sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""
