"""What stands behind a verdict and what limits it, in sentences."""

from collections.abc import Iterable, Iterator

from danlu.evaluation.facts import amount, distance_name, facts_of
from danlu.evaluation.reference import RELIABLE
from danlu.evaluation.results import Measured, Results, Row, RowKind

LEAST_COVERAGE = 0.7  # of the floor row's
LEAST_AGREEMENT = 0.85  # of the floor row's
COPIES = 0.5  # of held-out data's distance to the training data
NOISE_AWAY = 2.0  # standard errors beyond a limit before it is said


def caveats(ranked: list[Row], metric: str, results: Results) -> tuple[str, ...]:
    """Sentences in order of weight; `ranked` are the finished models."""
    return (
        *_sanity(ranked, metric, results),
        *_shares(ranked, results),
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


def insane(rows: Iterable[Row], metric: str, results: Results) -> list[Row]:
    """Rows whose primary distance is not below that of the sanity row."""
    lines = [row.metrics[metric] for row in results.rows
             if row.kind is RowKind.SANITY and metric in row.metrics]  # fmt: skip
    return [
        row
        for row in rows
        if any(metric in row.metrics and not row.metrics[metric].value < line.value
               for line in lines)
    ]  # fmt: skip


def _sanity(ranked: list[Row], metric: str, results: Results) -> Iterator[str]:
    """Models that learned no relation between the values at all."""
    facts = facts_of(metric)
    for row in insane(ranked, metric, results):
        line = next(each for each in results.rows if each.kind is RowKind.SANITY)
        yield (
            f"{row.name} is below the sanity line: its {distance_name(facts)}, "
            f"{amount(row.metrics[metric], facts)}, is no better than that of {line.name}, "
            f"{amount(line.metrics[metric], facts)}; do not use it as it is."
        )


def _shares(ranked: list[Row], results: Results) -> Iterator[str]:
    """Models that leave out much of the data or confuse its classes, whatever their distance."""
    limits = (
        ("coverage", LEAST_COVERAGE, "Part of the data is left out; coverage of"),
        ("class-agreement", LEAST_AGREEMENT, "Classes are confused; class agreement of"),
    )
    floor = next((row for row in results.rows if row.kind is RowKind.FLOOR), None)
    for share, least, words in limits:
        keys = floor.metrics if floor else {}
        key = next((key for key in keys if key.partition("@")[0] == share), "")
        if not floor or not key:
            continue
        facts, reached = facts_of(key), floor.metrics[key]
        low = [
            f"{row.name} {amount(row.metrics[key], facts)}"
            for row in ranked
            if key in row.metrics and row.metrics[key].value < least * reached.value
        ]
        if low:
            yield f"{words} {', '.join(low)}, where held-out data reach {amount(reached, facts)}."


def _copies(ranked: list[Row]) -> Iterator[str]:
    for row in ranked:
        distance = row.metrics.get("neighbour-distance")
        if distance and surely_below(distance, COPIES):
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
    if results.seeds > 1 and metric:
        yield (
            f"{results.seeds} seeds: figures are means over seeds; decisions take the larger of "
            "their standard error over seeds and the sampling error within one run."
        )
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


def surely_below(measured: Measured, limit: float) -> bool:
    """Whether a figure lies below a limit beyond its noise."""
    return measured.value + NOISE_AWAY * (measured.stderr or 0.0) < limit
