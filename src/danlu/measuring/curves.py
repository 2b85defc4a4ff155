"""Curves and pictures of a run over its training time, as the report shows them."""

import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from danlu.evaluation.metrics import METRICS
from danlu.evaluation.metrics.cloud import Cloud
from danlu.evaluation.metrics.metric import Comparison
from danlu.evaluation.reference import Reference
from danlu.evaluation.results import Picture
from danlu.evaluation.scoring import prepared
from danlu.measuring.held_out import Yard
from danlu.runs.drawing import Drawn
from danlu.runs.hooks import SAMPLES, Measure, read_pictures
from danlu.training.log import read_metrics
from danlu.training.records import inside

CURVES = {
    "class-agreement": ("class-agreement", "classifier"),
    "sliced-wasserstein@pixels": ("sliced-wasserstein", "pixels"),
}
"""Key of a curve -> the metric and its feature space."""
ROWS_OF_A_CURVE = 200


def curve_measure(yard: Yard) -> Measure:
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
    for row in read_metrics(folder)[0]:
        for part, value in row.losses.items():
            key = f"loss/{row.player}/{part}"
            curves.setdefault(key, []).append((row.seconds, value))
    if len(curves) == 1:
        curves = {"loss": next(iter(curves.values()))}
    return {key: _thinned(points) for key, points in curves.items()}


def figures(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Metric curves of a run, as measured with its pictures."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in read_pictures(folder)[0]:
        for key, value in row.figures.items():
            curves.setdefault(key, []).append((row.seconds, value))
    return curves


def doubts(folder: Path) -> list[str]:
    """What is left out of the curves and pictures of a run, in words."""
    return [*read_metrics(folder)[1], *read_pictures(folder)[1]]


def pictures(folder: Path, home: Path) -> list[Picture]:
    """The pictures of a run in order, by paths relative to `home`, inside of which they are.

    Raises:
        DanluError: the run's index names a file outside of its folder.
    """
    found = []
    for row in read_pictures(folder)[0]:
        path = None if row.path is None else inside(folder, row.path)
        if path is not None and path.is_file():
            found.append(Picture(row.seconds, within(path, home), row.alt, row.note))
    return found


def within(path: Path, home: Path) -> str:
    """A picture as a file in `home` names it; one from elsewhere is copied to `home/samples`."""
    if not path.resolve().is_relative_to(home.resolve()):
        place = home / SAMPLES
        place.mkdir(parents=True, exist_ok=True)
        path = Path(shutil.copyfile(path, place / path.name))
    return Path(os.path.relpath(path, home)).as_posix()


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    finite = [point for point in points if math.isfinite(point[1])]
    if len(finite) <= ROWS_OF_A_CURVE:
        return finite
    step = (len(finite) - 1) / (ROWS_OF_A_CURVE - 1)
    return [finite[round(i * step)] for i in range(ROWS_OF_A_CURVE)]
