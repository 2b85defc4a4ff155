"""What stands behind a verdict and what limits it, in sentences."""

from collections.abc import Iterator

from danlu.evaluation.facts import amount, distance_name, facts_of
from danlu.evaluation.reference import RELIABLE
from danlu.evaluation.results import Measured, Results, Row, RowKind

LEAST_COVERAGE = 0.7  # of the floor row's
COPIES = 0.5  # of held-out data's distance to the training data
NOISE_AWAY = 2.0  # standard errors beyond a limit before it is said


def caveats(ranked: list[Row], metric: str, results: Results) -> tuple[str, ...]:
    """Sentences in order of weight; `ranked` are the finished models."""
    return (
        *_coverage(ranked, results),
        *_copies(ranked),
        *_modes(ranked),
        *_scale(metric, results),
        *_limits(ranked, metric, results),
        *(
            f"{row.name} has no figures: {row.failure}"
            for row in results.rows
            if row.kind is RowKind.MODEL and row.failure
        ),
    )


def _scale(metric: str, results: Results) -> Iterator[str]:
    """What real data and damaged real data get."""
    facts = facts_of(metric)
    marks = [
        f"{row.name} {amount(row.metrics[metric], facts)}"
        for row in results.rows
        if row.kind is not RowKind.MODEL and metric in row.metrics
    ]
    if marks:
        yield f"The scale of this {distance_name(facts)}: {'; '.join(marks)}."


def _coverage(ranked: list[Row], results: Results) -> Iterator[str]:
    """Models that leave out much of the data, whatever their distance."""
    floor = next((row for row in results.rows if row.kind is RowKind.FLOOR), None)
    key = next((key for key in floor.metrics if key.startswith("coverage")), "") if floor else ""
    if not floor or not key:
        return
    facts, reached = facts_of(key), floor.metrics[key]
    low = [
        f"{row.name} {amount(row.metrics[key], facts)}"
        for row in ranked
        if key in row.metrics and row.metrics[key].value < LEAST_COVERAGE * reached.value
    ]
    if low:
        yield (
            f"Part of the data is left out; coverage of {', '.join(low)}, "
            f"where held-out data reach {amount(reached, facts)}."
        )


def _copies(ranked: list[Row]) -> Iterator[str]:
    for row in ranked:
        distance = row.metrics.get("neighbour-distance")
        if distance and _surely_below(distance, COPIES):
            yield (
                f"{row.name} may repeat training examples: its samples are nearer to them than "
                f"held-out data, by a factor of {distance.value:.2f}."
            )


def _modes(ranked: list[Row]) -> Iterator[str]:
    for row in ranked:
        hit = row.metrics.get("modes-hit")
        if hit and hit.value < 1:
            yield f"{row.name} misses modes: it hits {amount(hit, facts_of('modes-hit'))} of them."


def _limits(ranked: list[Row], metric: str, results: Results) -> Iterator[str]:
    if results.seeds == 1 and metric:
        known = any(row.metrics[metric].stderr for row in ranked if metric in row.metrics)
        yield (
            "One seed: the noise given is that of measuring, not of training again."
            if known
            else "One seed: how much training again would change is not known."
        )
    if results.held_out < RELIABLE and len(results.description.get("shape", ())) == 3:
        yield (
            f"Only {results.held_out:,} held-out images: distances below {RELIABLE:,} are "
            "unreliable; read them beside the floor row."
        )


def _surely_below(measured: Measured, limit: float) -> bool:
    return measured.value + NOISE_AWAY * (measured.stderr or 0.0) < limit
