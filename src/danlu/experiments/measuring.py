"""Figures of one trained model: samples scored, likelihood of held-out data, curves, neighbours."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from danlu.contracts import Evidence, Measure, derive_seed
from danlu.data import Examples, Source
from danlu.evaluation.features import FeatureSpace, feature_spaces
from danlu.evaluation.metrics import METRICS
from danlu.evaluation.metrics.cloud import Cloud, subset
from danlu.evaluation.metrics.metric import Comparison
from danlu.evaluation.metrics.neighbour_distance import nearest_training
from danlu.evaluation.pictures import neighbours
from danlu.evaluation.reference import Reference
from danlu.evaluation.results import EvidenceRow, Measured, Picture, Row, RowKind
from danlu.evaluation.scoring import prepared, score
from danlu.experiments.drawing import Drawn, classes_like, draw, drawable, words_for_options
from danlu.experiments.families import Classes
from danlu.experiments.hooks import INDEX, SAMPLES
from danlu.experiments.hooks import Measure as CurveMeasure
from danlu.experiments.runs import Run
from danlu.experiments.settings import Settings
from danlu.generative.base import GenerativeModel
from danlu.training import Policy
from danlu.training.checkpoint import Meta
from danlu.training.log import METRICS as DIARY

FIRST_EXAMPLES, GROWTH, MOST_EXAMPLES = 4, 2, 64
"""Likelihoods are computed for 4 examples, then 8, 16, ... at a time."""
CURVES = {
    "class-agreement": ("class-agreement", "classifier"),
    "sliced-wasserstein@pixels": ("sliced-wasserstein", "pixels"),
}
"""Key of a curve -> the metric and its feature space."""
ROWS_OF_A_CURVE = 200
PAIRS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Yard:
    """What every model is measured against.

    Attributes:
        source: the data.
        reference: the held-out split behind all figures.
        spaces: feature spaces by name.
        seed: of samples and estimates.
    """

    source: Source
    reference: Reference
    spaces: Mapping[str, FeatureSpace]
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A trained model that is to be measured.

    Attributes:
        run: its folder and config.
        model: averaged weights, evaluation mode.
        meta: where its training stood.
        options: of sampling and likelihood.
        policy: at which it samples.
    """

    run: Run
    model: GenerativeModel
    meta: Meta
    options: Any
    policy: Policy

    def draw(self, yard: Yard, n: int) -> Drawn:
        """`n` samples, with classes as frequent as in the held-out data."""
        classes = classes_like(self.model, yard.reference.condition, n)
        seed = derive_seed(yard.seed, "samples") % 2**31
        return draw(self.model, classes, n, options=self.options, seed=seed, policy=self.policy)


def open_yard(
    source: Source,
    *,
    split: str = "test",
    extra: Path | None = None,
    seed: int = 0,
    trained: bool = True,
) -> Yard:
    """The reference and the feature spaces of a data set.

    Args:
        source: the data.
        split: the held-out split behind all figures.
        extra: a network of one's own.
        seed: of samples and estimates.
        trained: whether a classifier may be trained; without, an untrained network stands in.
    """
    spaces = feature_spaces(source if trained else unlabelled(source), extra)
    return Yard(source=source, reference=Reference.of(source, split), spaces=spaces, seed=seed)


def unlabelled(source: Source) -> Source:
    """The same data without its classes."""
    description = replace(source.description, classes=0)
    training = Examples(source.training.values, None, description)
    return replace(source, description=description, training=training)


def open_subject(
    run: Run, policy: Policy, classes: Classes = None, settings: Settings | None = None
) -> Subject:
    """A run with its averaged weights, ready to be measured."""
    model, meta = run.model(classes, policy.device)
    return Subject(
        run=run,
        model=model.requires_grad_(False),
        meta=meta,
        options=run.config.options(model, settings),
        policy=policy,
    )


def model_row(subject: Subject, name: str) -> Row:
    """The row of a model before anything is measured: cost, curves and pictures of training."""
    model, meta = subject.model, subject.meta
    words = [words_for_options(subject.options)]
    return Row(
        name=name,
        kind=RowKind.MODEL,
        parameters=sum(p.numel() for p in model.parameters()),
        examples=meta.position,
        steps=meta.total.steps,
        train_seconds=meta.total.seconds,
        sample_evaluations=model.sampling_evaluations(subject.options),
        curves={**losses(subject.run.folder), **figures(subject.run.folder)},
        settings=", ".join(word for word in words if word),
        run=str(subject.run.folder),
    )


def add_scores(row: Row, yard: Yard, drawn: Drawn) -> None:
    """The metrics of its samples, and what these cost."""
    row.metrics = score(drawn.x, drawn.classes, yard.reference, yard.spaces)
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
    return _evidence(parts)


def _growing(order: Int[Tensor, " n"]) -> Iterator[Int[Tensor, " part"]]:
    """Parts of 4, 8, 16, ... indices."""
    size = FIRST_EXAMPLES
    while len(order):
        yield order[:size]
        order = order[size:]
        size = min(GROWTH * size, MOST_EXAMPLES)


def _likelihood(subject: Subject, yard: Yard, index: Int[Tensor, " part"], part: int) -> Evidence:
    model, reference = subject.model, yard.reference
    ids = None if reference.condition is None else reference.condition[index]
    with subject.policy.applied_threads(), torch.no_grad():
        return model.log_prob(
            reference.x[index].to(model.device),
            condition=ids if "condition" in model.can else None,
            seed=derive_seed(yard.seed, "evidence", part),
            options=subject.options,
        )


def _evidence(parts: list[Evidence]) -> EvidenceRow:
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
    )


def curve_measure(yard: Yard) -> CurveMeasure:
    """Cheap figures for curves, against the validation split; the test split is for the end."""
    reference = Reference.of(yard.source, "validation")

    def measure(drawn: Drawn) -> Mapping[str, float]:
        found = {key: _figure(key, drawn, yard, reference) for key in CURVES}
        return {key: figure for key, figure in found.items() if figure is not None}

    return measure


def _figure(key: str, drawn: Drawn, yard: Yard, reference: Reference) -> float | None:
    name, space = CURVES[key]
    if space not in yard.spaces or not drawn.x.isfinite().all():
        return None
    x = prepared(drawn.x, reference.description)
    place = yard.spaces[space]
    comparison = Comparison(x, drawn.classes, reference, place, Cloud(place.features(x)))
    metric = METRICS[name].target()
    return metric.measure(comparison).value if metric.applies(comparison) else None


def losses(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Loss curves of a run over training seconds, thinned."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in _lines(folder / DIARY):
        for part, value in row["losses"].items():
            key = f"loss/{row['player']}/{part}"
            curves.setdefault(key, []).append((row["seconds"], value))
    if len(curves) == 1:
        curves = {"loss": next(iter(curves.values()))}
    return {key: _thinned(points) for key, points in curves.items()}


def figures(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Metric curves of a run, as measured with its pictures."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in _lines(folder / SAMPLES / INDEX):
        for key, value in row.get("figures", {}).items():
            curves.setdefault(key, []).append((row["seconds"], value))
    return curves


def pictures(folder: Path, home: Path) -> list[Picture]:
    """The pictures of a run in order, by paths relative to `home`."""
    return [
        Picture(row["seconds"], _relative(folder / row["path"], home), row["alt"], row["note"])
        for row in _lines(folder / SAMPLES / INDEX)
        if "path" in row and (folder / row["path"]).exists()
    ]


def neighbour_picture(subject: Subject, drawn: Drawn, yard: Yard, home: Path) -> Picture | None:
    """Samples beside the training examples nearest to them."""
    description, folder = yard.reference.description, subject.run.folder
    if not drawable(description):
        return None
    chosen = drawn.x[subset(len(drawn.x), PAIRS)].clamp(description.low, description.high)
    near = nearest_training(chosen, yard.reference)
    path = neighbours(chosen, near.x, description, path=folder / SAMPLES / "neighbours.png")
    family = subject.run.config.family
    alt = f"{len(chosen)} samples of {family}, each beside the training example nearest to it."
    return Picture(subject.meta.total.seconds, _relative(path, home), alt)


def _relative(path: Path, home: Path) -> str:
    return Path(os.path.relpath(path, home)).as_posix()


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    finite = [point for point in points if math.isfinite(point[1])]
    if len(finite) <= ROWS_OF_A_CURVE:
        return finite
    step = (len(finite) - 1) / (ROWS_OF_A_CURVE - 1)
    return [finite[round(i * step)] for i in range(ROWS_OF_A_CURVE)]


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
