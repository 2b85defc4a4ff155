"""Runs of one family under several seeds as one row: means with their standard errors."""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean, stdev

from danlu.evaluation.results import EvidenceRow, Measured, Row


def merged(rows: Sequence[Row]) -> Row:
    """One row: means over the runs that have figures, pictures and curves of the first of them."""
    whole = [row for row in rows if not row.failure]
    if len(whole) < 2:
        return replace((whole or list(rows))[0], seeds=len(rows))
    first = whole[0]
    return replace(
        first,
        metrics={
            name: over([row.metrics[name] for row in whole])
            for name in first.metrics
            if all(name in row.metrics for row in whole)
        },
        evidence=_evidence([row.evidence for row in whole if row.evidence]),
        examples=_rounded(row.examples for row in whole),
        steps=_rounded(row.steps for row in whole),
        train_seconds=mean(row.train_seconds or 0.0 for row in whole),
        sample_seconds=mean(row.sample_seconds or 0.0 for row in whole),
        seeds=len(whole),
    )


def over(figures: Sequence[Measured]) -> Measured:
    """The mean over seeds and its standard error, which holds all noise within a run too."""
    values = [figure.value for figure in figures]
    return Measured(mean(values), stdev(values) / math.sqrt(len(values)))


def _evidence(rows: Sequence[EvidenceRow]) -> EvidenceRow | None:
    if len(rows) < 2:
        return rows[0] if rows else None
    bits = [row.bits_per_dim for row in rows if row.bits_per_dim]
    return replace(
        rows[0],
        nats=over([row.nats for row in rows]),
        bits_per_dim=over(bits) if len(bits) == len(rows) else None,
    )


def _rounded(values) -> int:  # noqa: ANN001
    return round(mean(value or 0 for value in values))
