"""The quieter tables: likelihoods, costs, the budget, and the facts of the measurement."""

from itertools import groupby
from typing import Any

from danlu.evaluation.facts import duration, number
from danlu.evaluation.markup import Safe, join, table, tag
from danlu.evaluation.results import EvidenceRow, Measured, Results, Row, RowKind
from danlu.evaluation.verdict import Verdict, ordered, seconds_per_thousand

BOUNDS = {
    "exact": "exact",
    "lower": "lower bound",
    "none": "none (estimate)",
}
MEASURES = {
    "counting": "probabilities of discrete values",
    "lebesgue": "densities of continuous values",
}


def evidence(results: Results) -> Safe | None:
    """One table for each condition and measure: values of two kinds never share a column."""
    known = [(row.name, row.evidence) for row in results.rows if row.evidence]
    kind = lambda pair: (pair[1].condition, pair[1].measure)
    groups = [(key, list(group)) for key, group in groupby(sorted(known, key=kind), kind)]
    if not groups:
        return None
    return join(*(_evidence_table(*key, group) for key, group in groups))


def cost(results: Results, verdict: Verdict) -> Safe:
    """What training and sampling took."""
    head = [
        "Model",
        "Parameters",
        "Examples seen",
        "Steps",
        "Training",
        "Evaluations per sample",
        "Seconds per 1,000 samples",
        "Seeds",
    ]
    kinds = (RowKind.MODEL, RowKind.NON_PARAMETRIC)
    models = [row for row in ordered(results, verdict) if row.kind in kinds]
    return table("Cost of training and sampling", head, [[_cost_line(row) for row in models]])


def stages(results: Results, verdict: Verdict) -> Safe | None:
    """The stages of models that have several: planned share, steps and seconds."""
    rows = [row for row in ordered(results, verdict) if len(row.stages) > 1]
    lines = [
        [
            tag(
                "tr",
                tag("th", f"{row.name}: {stage.name}", scope="row"),
                tag("td", f"{100 * stage.share:.0f} %"),
                tag("td", f"{stage.steps:,}"),
                tag("td", duration(stage.seconds)),
            )
            for stage in row.stages
        ]
        for row in rows
    ]
    head = ["Stage", "Share of training", "Steps", "Training"]
    return table("Training by stage", head, lines, class_="narrow") if lines else None


def budget(results: Results) -> Safe | None:
    """Planned and used seconds of every part."""
    if not results.split:
        return None
    total = tuple(map(sum, zip(*results.split.values(), strict=True)))
    lines = [_budget_line(part, *seconds) for part, seconds in results.split.items()]
    bodies = [lines, [_budget_line("All", *total)]]
    return table("Budget by part", ["Part", "Planned", "Used"], bodies, class_="narrow")


def measurement(results: Results) -> Safe:
    """Data, seeds, feature spaces, machine, command and version."""
    shape = " × ".join(map(str, results.description.get("shape", ())))
    facts = {
        "Data": f"{results.data}, {shape} numbers an example" if shape else results.data,
        "Reference": f"{results.reference}, {results.held_out:,} held-out examples",
        "Seeds": f"{results.seeds}, the first one {results.seed}",
        **{f"Features “{key}”": _space(space) for key, space in results.features.items()},
        **{str(key).replace("_", " ").capitalize(): v for key, v in results.machine.items()},
        "Version": f"danlu {results.version}",
    }
    pairs = (tag("div", tag("dt", key), tag("dd", str(value))) for key, value in facts.items())
    return join(
        tag("dl", *pairs, class_="facts"),
        tag("h3", "Command"),
        tag("pre", tag("code", results.command), tabindex="0", role="region", aria_label="Command"),
    )


def _evidence_table(condition: str, measure: str, group: list[tuple[str, EvidenceRow]]) -> Safe:
    given = "unconditional" if condition == "none" else f"given the {condition}"
    symbol = "log p(x)" if condition == "none" else f"log p(x | {condition})"
    head = [
        "Model",
        f"{symbol}, nats",
        "Bits per dimension",
        "Bound",
        "Measure",
        "Condition",
        "Evaluations",
        "Examples",
        "Note",
    ]
    caption = f"Log-likelihood of held-out data, {given}: {MEASURES.get(measure, measure)}"
    return table(caption, head, [[_evidence_line(name, row) for name, row in group]])


def _evidence_line(name: str, row: EvidenceRow) -> Safe:
    cells: list[Any] = [
        _measured(row.nats),
        "–" if row.bits_per_dim is None else _measured(row.bits_per_dim),
        BOUNDS.get(row.bound, row.bound),
        row.measure,
        row.condition,
        f"{row.evaluations:,}",
        f"{row.examples:,}",
        row.note or "–",
    ]
    return tag("tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in cells))


def _cost_line(row: Row) -> Safe:
    thousand = seconds_per_thousand(row)
    cells = [
        _count(row.parameters),
        _count(row.examples),
        _count(row.steps),
        "–" if row.train_seconds is None else duration(row.train_seconds),
        _count(row.sample_evaluations),
        "–" if thousand is None else number(thousand),
        _count(row.seeds),
    ]
    head = tag(
        "th",
        tag("span", row.name, class_="title"),
        tag("span", row.settings, class_="quiet") if row.settings else None,
        scope="row",
    )
    return tag("tr", head, *(tag("td", cell) for cell in cells))


def _budget_line(part: str, planned: float, used: float) -> Safe:
    cells = (tag("td", duration(planned) if planned else "–"), tag("td", duration(used)))
    return tag("tr", tag("th", part, scope="row"), *cells)


def _measured(measured: Measured) -> str:
    return number(measured.value, measured.stderr)


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _space(space: dict[str, Any]) -> str:
    words = [str(space.get("title") or space.get("name", ""))]
    if space.get("hash") and space["hash"] != "values":
        words.append(f"weights {str(space['hash'])[:12]}")
    if space.get("accuracy") is not None:
        words.append(f"accuracy {100 * float(space['accuracy']):.1f} %")
    if space.get("seconds"):
        words.append(f"made in {duration(float(space['seconds']))}")
    return ", ".join(words)
