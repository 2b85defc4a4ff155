"""The verdict in words: which model to use, why, and how sure that is.

The rule, fixed before any figure: a model with a lower primary distance is better. The primary
distance is the first of `PRIMARY` that every finished model has. Models within two standard
errors of the best stand level and are told apart by class agreement, under the same rule, and
then by sampling cost. Yardsticks (floor, train-copy, corruption) never compete.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from danlu.evaluation.facts import amount, facts_of
from danlu.evaluation.results import Measured, Results, Row, RowKind

PRIMARY = ("frechet@classifier", "frechet", "kid", "sliced-wasserstein")
AGREEMENT = "class-agreement"
COVERAGE = "coverage"
LEVEL = 2.0  # standard errors of a difference below which two figures stand level
LEAST_COVERAGE = 0.7  # of the floor row's
FEW = 1000  # held-out examples below which distances between images are unreliable

Criterion = Callable[[Row], Measured | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The answer.

    Attributes:
        sentence: which model to use, its runner-up and the difference against the noise.
        reasons: further sentences: what decided, what limits the answer, what failed.
        ranking: names of the finished models, best first.
        metric: key of the primary distance; empty when nothing could be ranked.
    """

    sentence: str
    reasons: tuple[str, ...]
    ranking: tuple[str, ...]
    metric: str

    @property
    def winner(self) -> str | None:
        """Name of the model to use, or None."""
        return self.ranking[0] if self.ranking else None


def judge(results: Results) -> Verdict:
    """Apply the rule of the module docstring."""
    models = [row for row in results.rows if row.kind is RowKind.MODEL]
    finished = [row for row in models if not row.failure]
    metric = primary_metric(finished)
    failures = tuple(f"{row.name} has no figures: {row.failure}" for row in models if row.failure)
    if not metric:
        return Verdict(
            sentence=f"No model can be recommended for {results.data}: "
            + ("no model finished." if not finished else "no distance was measured."),
            reasons=failures,
            ranking=tuple(row.name for row in finished),
            metric="",
        )
    ranked = ranking(finished, metric)
    return Verdict(
        sentence=_sentence(ranked, metric, results),
        reasons=(
            *_scale(ranked[0], metric, results),
            *_coverage(ranked, results),
            *_limits(ranked, metric, results),
            *failures,
        ),
        ranking=tuple(row.name for row in ranked),
        metric=metric,
    )


def primary_metric(rows: Sequence[Row]) -> str:
    """The first distance of `PRIMARY`, in any space, that every row with figures has; or ''."""
    known = [{name for name, figure in row.metrics.items() if _finite(figure)} for row in rows]
    known = [names for names in known if names]
    shared = sorted(set.intersection(*known)) if known else []
    for wanted in PRIMARY:
        for name in shared:
            if wanted in (name, name.partition("@")[0]):
                return name
    return ""


def ranking(rows: Sequence[Row], metric: str) -> list[Row]:
    """Rows from best to worst by the primary distance, class agreement and sampling cost."""

    def agreement(row: Row) -> Measured | None:
        for name, value in sorted(row.metrics.items()):
            if name.partition("@")[0] == AGREEMENT:
                return Measured(-value.value, value.stderr)
        return None

    def cost(row: Row) -> Measured | None:
        seconds = seconds_per_thousand(row)
        return None if seconds is None else Measured(seconds)

    return _ordered(rows, [lambda row: row.metrics.get(metric), agreement, cost])


def standard_errors(first: Measured, second: Measured) -> float:
    """The difference of two figures in standard errors of that difference; inf without noise."""
    error = math.hypot(first.stderr or 0.0, second.stderr or 0.0)
    difference = abs(first.value - second.value)
    if error == 0.0:
        return math.inf if difference else 0.0
    return difference / error


def seconds_per_thousand(row: Row) -> float | None:
    """Sampling seconds for 1,000 samples, where measured."""
    if row.sample_seconds is None or not row.samples:
        return None
    return 1000 * row.sample_seconds / row.samples


def _ordered(rows: Sequence[Row], criteria: Sequence[Criterion]) -> list[Row]:
    """Best first by the first criterion (low is good); rows level with a best one by the rest."""
    if len(rows) < 2 or not criteria:
        return sorted(rows, key=lambda row: row.name)
    criterion, *rest = criteria
    known = [(row, value) for row in rows if _finite(value := criterion(row)) and value]
    unknown = [row for row in rows if not _finite(criterion(row))]
    order: list[Row] = []
    while known:
        _, best = min(known, key=lambda pair: pair[1].value)
        level = [row for row, value in known if standard_errors(best, value) <= LEVEL]
        known = [(row, value) for row, value in known if standard_errors(best, value) > LEVEL]
        order += _ordered(level, rest)
    return order + _ordered(unknown, rest)


def _finite(measured: Measured | None) -> bool:
    return measured is not None and math.isfinite(measured.value)


def _sentence(ranked: list[Row], metric: str, results: Results) -> str:
    best, *others = ranked
    facts = facts_of(metric)
    figure = f"{facts.title} is {amount(best.metrics[metric], facts)}"
    budget = _budget(results)
    if not others:
        competed = sum(row.kind is RowKind.MODEL for row in results.rows)
        if competed == 1:
            return f"{best.name} on {results.data}{budget}: its {figure}; nothing was compared."
        return f"Use {best.name} for {results.data}{budget}: it alone finished, and its {figure}."
    second = others[0]
    return (
        f"Use {best.name} for {results.data}{budget}: its {figure}, against "
        f"{amount(second.metrics[metric], facts)} for the runner-up {second.name}"
        f"{_difference(best, second, metric)}."
    )


def _difference(best: Row, second: Row, metric: str) -> str:
    first, other = best.metrics[metric], second.metrics[metric]
    apart = standard_errors(first, other)
    if math.isinf(apart):
        return "; the noise of this figure was not measured"
    if apart > LEVEL:
        return f", a difference of {apart:.1f} standard errors"
    return f", level within the noise ({apart:.1f} standard errors); {_tie_break(best, second)}"


def _tie_break(best: Row, second: Row) -> str:
    title = "class agreement"
    first, other = (
        next((v for k, v in row.metrics.items() if k.partition("@")[0] == AGREEMENT), None)
        for row in (best, second)
    )
    if first and other and standard_errors(first, other) > LEVEL and first.value > other.value:
        return f"the better {title} decides ({first.value:.1%} against {other.value:.1%})"
    cost, other_cost = seconds_per_thousand(best), seconds_per_thousand(second)
    if cost is not None and (other_cost is None or cost < other_cost):
        return "the lower cost of sampling decides"
    return "nothing measured tells them apart"


def _budget(results: Results) -> str:
    planned = sum(plan for plan, _ in results.split.values())
    if not planned:
        return ""
    minutes = planned / 60
    return f" on a budget of {minutes:.3g} {'minute' if minutes == 1 else 'minutes'}"


def _scale(best: Row, metric: str, results: Results) -> tuple[str, ...]:
    """Where the winner stands between real data and damaged real data."""
    facts = facts_of(metric)
    marks = [
        f"{row.name} {amount(row.metrics[metric], facts)}"
        for row in results.rows
        if row.kind is not RowKind.MODEL and _finite(row.metrics.get(metric))
    ]
    if not marks:
        return ()
    return (
        f"For scale, on the same {facts.title}: {best.name} "
        f"{amount(best.metrics[metric], facts)}; {'; '.join(marks)}.",
    )


def _coverage(ranked: list[Row], results: Results) -> tuple[str, ...]:
    """Models that leave out much of the data, whatever their distance."""
    floor = next((row for row in results.rows if row.kind is RowKind.FLOOR), None)
    lines = []
    for name in sorted({name for row in ranked for name in row.metrics}):
        if floor is None or name.partition("@")[0] != COVERAGE or name not in floor.metrics:
            continue
        reached = floor.metrics[name].value
        lines += [
            f"{row.name} leaves out part of the data: its coverage is {row.metrics[name].value:.2f}"
            f", held-out real data reach {reached:.2f}."
            for row in ranked
            if name in row.metrics and row.metrics[name].value < LEAST_COVERAGE * reached
        ]
    return tuple(lines)


def _limits(ranked: list[Row], metric: str, results: Results) -> tuple[str, ...]:
    lines = []
    if results.seeds == 1:
        lines.append(
            "One seed: the noise given is that of the measurement, not of training again."
            if any(row.metrics[metric].stderr is not None for row in ranked)
            else "One seed: how much training again would change is not known."
        )
    if results.held_out < FEW and len(results.description.get("shape", ())) == 3:
        lines.append(
            f"Only {results.held_out:,} held-out images: distances below {FEW:,} are unreliable."
        )
    return tuple(lines)
