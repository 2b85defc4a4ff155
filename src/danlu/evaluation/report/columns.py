"""The main table: every figure of every row, with what each column means."""

import math
from statistics import median
from typing import Any

from danlu.evaluation.facts import amount, facts_of, number, order_of
from danlu.evaluation.markup import Safe, hidden, join, table, tag
from danlu.evaluation.results import Measured, Results, Row, RowKind
from danlu.evaluation.verdict import LEVEL, Verdict, standard_errors

ABOUT = {
    RowKind.FLOOR: "held-out real data: the best that can be expected",
    RowKind.TRAIN_COPY: "what a memoriser would get",
    RowKind.CORRUPTION: "damaged real data: the scale of a figure",
}


def comparison(results: Results, verdict: Verdict) -> Safe:
    """Models first, best on top, then the yardsticks, then the meaning of the columns."""
    names = sorted({name for row in results.rows for name in row.metrics}, key=order_of)
    if not names:
        return tag("p", "No figure was measured.")
    place = {name: index for index, name in enumerate(verdict.ranking)}
    models = [row for row in results.rows if row.kind is RowKind.MODEL]
    models.sort(key=lambda row: place.get(row.name, len(place)))
    others = [row for row in results.rows if row.kind is not RowKind.MODEL]
    marks = {name: _marks(name, models) for name in names}
    head: list[Any] = ["Row", *(_head(name) for name in names)]
    divider = tag(
        "tr",
        tag("th", "Yardsticks: they do not compete", colspan=len(head), scope="rowgroup"),
        class_="divider",
    )
    bodies = [[_line(row, names, marks) for row in models]]
    if others:
        bodies.append([divider, *(_line(row, names, marks) for row in others)])
    return join(
        table("Quality of the samples", head, bodies, class_="main"),
        _legend(models),
        tag("h3", "What the columns say"),
        tag("dl", *(_meaning(name, results) for name in names), class_="meanings"),
    )


def _head(name: str) -> Safe:
    facts = facts_of(name)
    arrow = {"lower": "↓", "higher": "↑"}.get(facts.better, "")
    told = f"{arrow} {facts.direction}".strip()
    return join(
        tag("span", facts.title, class_="title"),
        tag("span", facts.space, class_="quiet") if facts.space else None,
        tag("span", told, class_="quiet") if told else None,
    )


def _line(row: Row, names: list[str], marks: dict[str, dict[str, str]]) -> Safe:
    about = ABOUT.get(row.kind) or row.settings
    head = tag(
        "th",
        tag("span", row.name, class_="title"),
        tag("span", about, class_="quiet") if about else None,
        scope="row",
    )
    if row.failure:
        return tag("tr", head, tag("td", f"no figures: {row.failure}", colspan=len(names)))
    cells = (_cell(row.metrics.get(name), name, marks[name].get(row.name)) for name in names)
    return tag("tr", head, *cells, class_=None if row.kind is RowKind.MODEL else "yardstick")


def _cell(measured: Measured | None, name: str, mark: str | None) -> Safe:
    if measured is None:
        return tag("td", tag("span", "–", aria_hidden="true"), hidden("not measured"))
    text = amount(measured, facts_of(name))
    if mark == "best":
        return tag("td", tag("strong", text), hidden(" (best)"), class_="best")
    if mark == "level":
        return tag("td", text, tag("span", " ≈", aria_hidden="true"), hidden(" (level with best)"))
    return tag("td", text)


def _marks(name: str, models: list[Row]) -> dict[str, str]:
    """Row name -> best, or level with the best within the noise; none for a lone model."""
    facts = facts_of(name)
    badness = {
        row.name: facts.badness(row.metrics[name].value)
        for row in models
        if name in row.metrics and math.isfinite(row.metrics[name].value)
    }
    known = {each: value for each, value in badness.items() if value is not None}
    if len(known) < 2:
        return {}
    best = min(known, key=lambda each: known[each])
    figures = {row.name: row.metrics[name] for row in models if row.name in known}
    level = {
        each: "level"
        for each, figure in figures.items()
        if standard_errors(figures[best], figure) <= LEVEL
    }
    return level | {best: "best"}


def _legend(models: list[Row]) -> Safe | None:
    if len(models) < 2:
        return None
    return tag(
        "p",
        "Bold and underlined: the best model of a column; ≈: level with it within two standard "
        "errors. ± gives one standard error.",
        class_="quiet",
    )


def _meaning(name: str, results: Results) -> Safe:
    facts = facts_of(name)
    errors = [
        row.metrics[name].stderr or 0.0
        for row in results.rows
        if name in row.metrics and row.metrics[name].stderr is not None
    ]
    scale = 100.0 if facts.unit == "%" else 1.0
    here = f"Here: ± {number(median(errors or [0.0]) * scale)}{facts.unit and ' ' + facts.unit} (median)."
    told = facts.direction
    parts = [
        _sentence(facts.measures),
        _sentence(told),
        _sentence(f"noise: {facts.noise}" if facts.noise else ""),
        here if errors else "Here no standard error was measured.",
        f"Measured on the features “{facts.space}”." if facts.space else "",
    ]
    return tag(
        "div",
        tag("dt", facts.title, tag("code", name, class_="quiet")),
        tag("dd", " ".join(part for part in parts if part)),
    )


def _sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""
