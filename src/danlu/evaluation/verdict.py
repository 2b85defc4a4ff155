"""The verdict in words: which model to use, why, and how sure that is.

The rule. A model with a lower primary distance is better. The primary
distance is the first that every finished model has of: Wasserstein (points of few dimensions),
Fréchet on the classifier's features, KID, sliced Wasserstein. Models within two standard errors
of the best stand level, and among them the one whose samples take the least time is named. No
other figure enters, and nothing in the rule was fitted to any result. Yardsticks and
non-parametric rows never compete.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from danlu.evaluation.caveats import caveats
from danlu.evaluation.facts import amount, distance_name, duration, facts_of
from danlu.evaluation.results import Measured, Results, Row, RowKind

PRIMARY = ("wasserstein", "frechet@classifier", "kid", "sliced-wasserstein")
LAST_SPACES = ("random", "pixels")  # after the classifier and networks of one's own
SURE = "kid"  # always has a standard error; tells how large a difference is where others do not
LEVEL = 2.0  # standard errors of a difference below which two figures stand level

Criterion = Callable[[Row], Measured | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The answer.

    Attributes:
        sentence: which model to use, its runner-up and the difference against the noise.
        reasons: further sentences: what gives the figure its scale, what limits the answer.
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
        return self.ranking[0] if self.metric else None


def judge(results: Results) -> Verdict:
    """Apply the rule of the module docstring."""
    models = [row for row in results.rows if row.kind is RowKind.MODEL]
    finished = [row for row in models if not row.failure]
    metric = primary_metric(finished)
    ranked = ranking(finished, metric)
    return Verdict(
        sentence=_sentence(ranked, metric, results) if metric else _no_answer(finished, results),
        reasons=caveats(ranked, metric, results),
        ranking=tuple(row.name for row in ranked),
        metric=metric,
    )


def primary_metric(rows: Sequence[Row]) -> str:
    """The first distance of `PRIMARY`, in the best space, that all rows with distances have."""
    known = [_distances(row) for row in rows]
    known = [names for names in known if names]
    shared = sorted(set.intersection(*known), key=space_order) if known else []
    for wanted in PRIMARY:
        for name in shared:
            if wanted in (name, name.partition("@")[0]):
                return name
    return ""


def _distances(row: Row) -> set[str]:
    """Keys of its finite distances, in any feature space."""
    bases = {wanted.partition("@")[0] for wanted in PRIMARY}
    return {
        k for k, figure in row.metrics.items() if k.partition("@")[0] in bases and finite(figure)
    }


def space_order(key: str) -> tuple[int, str]:
    """Sort key by feature space: the classifier, networks of one's own, then `LAST_SPACES`."""
    space = key.partition("@")[2]
    if space in LAST_SPACES:
        return (2 + LAST_SPACES.index(space), key)
    return (0 if space == "classifier" else 1, key)


def ranking(rows: Sequence[Row], metric: str) -> list[Row]:
    """Rows from best to worst by the primary distance, level ones by the cost of sampling."""

    def cost(row: Row) -> Measured | None:
        seconds = seconds_per_thousand(row)
        return None if seconds is None else Measured(seconds)

    return _ordered(rows, [lambda row: row.metrics.get(metric), cost])


def ordered(results: Results, verdict: Verdict) -> list[Row]:
    """All rows as a page shows them: models by rank, those without figures, the other kinds."""
    place = {name: index for index, name in enumerate(verdict.ranking)}
    kinds = list(RowKind)
    return sorted(
        results.rows,
        key=lambda row: (
            kinds.index(row.kind),
            place.get(row.name, len(place)) if row.kind is RowKind.MODEL else 0,
        ),
    )


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


def finite(measured: Measured | None) -> bool:
    """Whether there is a figure at all."""
    return measured is not None and math.isfinite(measured.value)


def _ordered(rows: Sequence[Row], criteria: Sequence[Criterion]) -> list[Row]:
    """Best first by the first criterion (low is good); rows level with a best one by the rest."""
    if len(rows) < 2 or not criteria:
        return sorted(rows, key=lambda row: row.name)
    criterion, *rest = criteria
    known = [(row, value) for row in rows if (value := criterion(row)) and finite(value)]
    unknown = [row for row in rows if not finite(criterion(row))]
    order: list[Row] = []
    while known:
        _, best = min(known, key=lambda pair: pair[1].value)
        level = [row for row, value in known if standard_errors(best, value) <= LEVEL]
        known = [(row, value) for row, value in known if standard_errors(best, value) > LEVEL]
        order += _ordered(level, rest)
    return order + _ordered(unknown, rest)


def _no_answer(finished: list[Row], results: Results) -> str:
    reason = "no distance was measured" if finished else "no model finished"
    return f"No model can be recommended for {results.data}: {reason}."


def _sentence(ranked: list[Row], metric: str, results: Results) -> str:
    best, *others = ranked
    facts = facts_of(metric)
    space = f" on {facts.space} features" if facts.space not in ("", "pixels") else ""
    figure = f"{distance_name(facts)}{space} is {amount(best.metrics[metric], facts)}"
    budget = _budget(results)
    competed = sum(row.kind is RowKind.MODEL for row in results.rows)
    if competed == 1:
        return f"{best.name} on {results.data}{budget}: its {figure}; {_floor(metric, results)}."
    if not others or not finite(others[0].metrics.get(metric)):
        return f"Use {best.name} for {results.data}{budget}: its {figure}, and it alone has one."
    second = others[0]
    return (
        f"Use {best.name} for {results.data}{budget}: its {figure}, against "
        f"{amount(second.metrics[metric], facts)} for the runner-up {second.name}"
        f"{_difference(best, second, metric)}."
    )


def _floor(metric: str, results: Results) -> str:
    """What a model that has no rival is to be compared with."""
    for row in results.rows:
        if row.kind is RowKind.FLOOR and metric in row.metrics:
            return f"{row.name} would have {amount(row.metrics[metric], facts_of(metric))}"
    return "nothing was compared with it"


def _difference(best: Row, second: Row, metric: str) -> str:
    apart = standard_errors(best.metrics[metric], second.metrics[metric])
    if math.isinf(apart):
        return _difference_elsewhere(best, second, metric)
    if apart > LEVEL:
        return f", a difference of {apart:.1f} standard errors"
    why = _tie_break(best, second)
    return f", level within the noise ({apart:.1f} standard errors); {why}"


def _difference_elsewhere(best: Row, second: Row, metric: str) -> str:
    """Where the distance has no standard error: the same two rows by one that has."""
    base, at, space = metric.partition("@")
    first, other = (row.metrics.get(f"{SURE}{at}{space}") for row in (best, second))
    if base == SURE or not (first and other and first.stderr and other.stderr):
        return "; how large its noise is was not measured"
    apart = standard_errors(first, other)
    title = facts_of(SURE).title
    if apart <= LEVEL:
        return f"; on {title}, whose noise is known, the two stand level"
    if first.value > other.value:
        return f"; but on {title} {second.name} is ahead by {apart:.1f} standard errors"
    return f"; on {title}, whose noise is known, they are {apart:.1f} standard errors apart"


def _tie_break(best: Row, second: Row) -> str:
    cost, other_cost = seconds_per_thousand(best), seconds_per_thousand(second)
    if cost is None or (other_cost is not None and cost >= other_cost):
        return "nothing measured tells them apart"
    against = "" if other_cost is None else f" against {duration(other_cost)}"
    return f"the cost of sampling decides, {duration(cost)}{against} for 1,000 samples"


def _budget(results: Results) -> str:
    if results.examples:
        return f" on a budget of {results.examples:,} examples for each model"
    minutes = results.budget / 60
    if not minutes:
        return ""
    return f" on a budget of {minutes:.3g} {'minute' if minutes == 1 else 'minutes'}"
