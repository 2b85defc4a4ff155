"""Figures of one trained model: samples scored, likelihood of held-out data, curves, neighbours."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from danlu.contracts import Evidence, Measure, Told, derive_seed
from danlu.evaluation.metrics.cloud import subset
from danlu.evaluation.metrics.neighbour_distance import nearest_training
from danlu.evaluation.pictures import neighbours
from danlu.evaluation.results import EvidenceRow, Measured, Picture, Row, RowKind, StageRow
from danlu.evaluation.scoring import needed, score
from danlu.generative.base import GenerativeModel
from danlu.measuring.curves import figures, losses, within
from danlu.measuring.held_out import Yard
from danlu.measuring.planning import BLOCK, LEAST_SAMPLES
from danlu.runs.drawing import Drawn, draw, drawable, is_told, told_like, words_for_options
from danlu.runs.families import Classes
from danlu.runs.folders import Run
from danlu.runs.hooks import SAMPLES
from danlu.runs.settings import Settings
from danlu.training import Policy
from danlu.training.checkpoint import Meta

FIRST_EXAMPLES, GROWTH, MOST_EXAMPLES = 4, 2, 64
"""Likelihoods are computed for 4 examples, then 8, 16, ... at a time."""
PAIRS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A fitted model that is to be measured.

    Attributes:
        name: of its family.
        folder: where its pictures go.
        model: averaged weights, evaluation mode.
        options: of sampling and likelihood.
        policy: at which it samples.
        seconds: that training or fitting took.
    """

    name: str
    folder: Path
    model: GenerativeModel
    options: Any
    policy: Policy
    seconds: float

    def draw(self, yard: Yard, n: int, seconds: float = math.inf) -> Drawn:
        """`n` samples, or fewer when the seconds are over; never fewer than `LEAST_SAMPLES`.

        Classes are as frequent as in the held-out data in any first part of them too.
        """
        told = self.asked(yard, n)
        parts: list[Drawn] = []
        for first in range(0, n, BLOCK):
            parts.append(self.block(yard, told, range(first, min(first + BLOCK, n))))
            spent = sum(part.seconds for part in parts)
            if first + BLOCK >= LEAST_SAMPLES and spent + parts[-1].seconds > seconds:
                break
        return Drawn(
            torch.cat([part.x for part in parts]),
            None if told is None else told[: sum(len(part.x) for part in parts)],
            sum(part.seconds for part in parts),
        )

    def asked(self, yard: Yard, n: int) -> Told:
        """What `n` samples are told in the order they are drawn in; None where nothing is."""
        told = told_like(self.model, yard.reference.condition, n)
        if told is None:
            return None
        generator = torch.Generator().manual_seed(yard.seed)
        return told[torch.randperm(n, generator=generator)]

    def block(self, yard: Yard, told: Told, rows: range) -> Drawn:
        """Some of the samples, of which the first is the first of a block of `BLOCK`."""
        return draw(
            self.model,
            None if told is None else told[rows.start : rows.stop],
            len(rows),
            options=self.options,
            seed=derive_seed(yard.seed, "samples", rows.start),
            policy=self.policy,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained(Subject):
    """A run that is to be measured.

    Attributes:
        meta: where its training stood.
        notices: what of its folder is not as it was written.
    """

    meta: Meta
    notices: Sequence[str] = ()


def open_subject(
    run: Run, policy: Policy, classes: Classes = None, settings: Settings | None = None
) -> Trained:
    """A run with its averaged weights, ready to be measured."""
    model, meta, notices = run.model(classes, policy.device)
    return Trained(
        name=run.config.family,
        folder=run.folder,
        model=model.requires_grad_(False),
        options=run.config.options(model, settings),
        policy=policy,
        seconds=meta.total.seconds,
        meta=meta,
        notices=notices,
    )


def model_row(subject: Trained) -> Row:
    """The row of a model before anything is measured: cost, curves and pictures of training."""
    model, meta = subject.model, subject.meta
    words = [words_for_options(subject.options)]
    if model.picture_note:
        words.append(f"scored on plain samples, pictures show {model.picture_note}")
    return Row(
        name=subject.name,
        kind=RowKind.MODEL,
        parameters=sum(p.numel() for p in model.parameters()),
        examples=meta.position,
        steps=meta.total.steps,
        train_seconds=meta.total.seconds,
        sample_evaluations=model.sampling_evaluations(subject.options),
        curves={**losses(subject.folder), **figures(subject.folder)},
        stages=[
            StageRow(stage.name, stage.share, spent.steps, spent.seconds)
            for stage, spent in zip(model.stages(), meta.spent, strict=False)
        ],
        settings=", ".join(word for word in words if word),
        run=str(subject.folder),
    )


def add_scores(row: Row, yard: Yard, drawn: Drawn) -> None:
    """The metrics of its samples, and what these cost."""
    asked = (drawn.x, drawn.classes, yard.reference, yard.spaces)
    row.metrics, row.needs = score(*asked), needed(*asked)
    row.samples, row.sample_seconds = len(drawn.x), drawn.seconds


def evidence_row(subject: Subject, yard: Yard, n: int, seconds: float) -> EvidenceRow:
    """The mean log-likelihood of at most `n` held-out examples, given their classes if known.

    Starts with a few examples and goes on with more at a time for as long as they should fit into
    the seconds.

    Raises:
        CapabilityError: the model has no likelihood.
    """
    subject.model.require("log_prob")
    began, last = perf_counter(), 0.0
    parts: list[Evidence] = []
    generator = torch.Generator().manual_seed(yard.seed)
    order = torch.randperm(len(yard.reference), generator=generator)[:n]
    for index in _growing(order):
        if parts and perf_counter() - began + GROWTH * last > seconds:
            break
        start = perf_counter()
        parts.append(_likelihood(subject, yard, index, len(parts)))
        last = perf_counter() - start
    return _evidence(parts, _note(subject, yard, order[: sum(len(part.value) for part in parts)]))


def _growing(order: Int[Tensor, " n"]) -> Iterator[Int[Tensor, " part"]]:
    """Parts of 4, 8, 16, ... indices."""
    size = FIRST_EXAMPLES
    while len(order):
        yield order[:size]
        order = order[size:]
        size = min(GROWTH * size, MOST_EXAMPLES)


def _likelihood(subject: Subject, yard: Yard, index: Int[Tensor, " part"], part: int) -> Evidence:
    model, reference = subject.model, yard.reference
    told = None if reference.condition is None else reference.condition[index]
    with subject.policy.applied(), torch.no_grad():
        return model.log_prob(
            reference.x[index].to(model.device),
            condition=told if is_told(model) else None,
            seed=derive_seed(yard.seed, "evidence", part),
            options=subject.options,
        )


def _note(subject: Subject, yard: Yard, index: Int[Tensor, " n"]) -> str:
    """What the value leaves out: a flow's Gaussian end law is nearly, not quite, the data's."""
    mismatch = subject.model.prior_mismatch(yard.reference.x[index])
    if mismatch is None:
        return ""
    return f"prior mismatch, not included: at most {mismatch.mean().item():.1g} nats"


def _evidence(parts: list[Evidence], note: str) -> EvidenceRow:
    first = parts[0]
    value = torch.cat([part.value.double().cpu() for part in parts])
    mean, n = value.mean().item(), len(value)
    error = (value.std() / math.sqrt(n)).item() if n > 1 else None
    bits = None
    if first.measure is Measure.COUNTING:
        scale = first.dims * math.log(2)
        bits = Measured(-mean / scale, None if error is None else error / scale)
    return EvidenceRow(
        nats=Measured(mean, error),
        bits_per_dim=bits,
        bound=str(first.bound),
        measure=str(first.measure),
        condition=first.condition,
        evaluations=first.evaluations,
        examples=n,
        note=note,
    )


def neighbour_picture(subject: Subject, drawn: Drawn, yard: Yard, home: Path) -> Picture | None:
    """Samples beside the training examples nearest to them."""
    description = yard.reference.description
    if not drawable(description):
        return None
    chosen = drawn.x[subset(len(drawn.x), PAIRS)].clamp(description.low, description.high)
    near = nearest_training(chosen, yard.reference)
    inner = subject.folder.resolve().is_relative_to(home.resolve())
    place = (subject.folder if inner else home) / SAMPLES
    place.mkdir(parents=True, exist_ok=True)
    path = neighbours(chosen, near.x, description, path=place / "neighbours.png")
    alt = (
        f"{len(chosen)} samples of {subject.name}, each beside the training example nearest to it."
    )
    return Picture(subject.seconds, within(path, home), alt)
