"""How near three U-Nets of one size come to the data after the same training.

danlu's U-Net and two independent ones see the same batches of Fashion-MNIST, set into 32x32 pixels,
without classes. Each learns by its library's own loss; optimiser, clipping, rates and the average
of the weights are the same for all, and so is the precision. The average then draws by its
library's own DDIM of 50 evaluations, and the samples, cut back to the size of the data, are
compared with the test split. The rate was chosen on the validation split. After an interruption
the same command goes on.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from danlu.data import Source
from danlu.evaluation.corruptions import noisy, some
from danlu.evaluation.results import Measured
from danlu.measuring.held_out import Yard, words_for_spaces
from danlu.runs.train import choose_data, open_data
from danlu_bench import unets
from danlu_bench.equal_training import (
    NAME,
    SETTINGS,
    WARMUP,
    Images,
    Study,
    require_same,
    samples,
    trained,
)
from danlu_bench.kept import KeptFigures
from danlu_bench.page import place, table, write_page
from danlu_bench.sample_rows import SPACE, distance_of, open_yards, picture, with_error
from danlu_bench.unets import SIDE

OURS = "danlu"
COMMAND = f"OMP_NUM_THREADS=1 danlu bench {NAME}"
ERRORS = 2.0
"""Standard errors of a difference by which danlu may be further away than the best other."""

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One library.

    Attributes:
        parameters: of its network.
        training: seconds of it.
        sampling: CPU seconds of all samples.
        distance: from the test split, with the error of drawing other samples.
        x: the samples.
    """

    parameters: int
    training: float
    sampling: float
    distance: Measured
    x: Images


def run(
    report: Report, *, study: Study | None = None, folder: Path | None = None
) -> dict[str, Any]:
    """Three U-Nets trained alike: distances of their samples from Fashion-MNIST."""
    study = study or Study()
    source = open_data(choose_data(study.data))
    require_same(study)
    yard = open_yards(source, study.seed)["test"]
    report(words_for_spaces(yard.spaces))
    rows: dict[str, Row] = {}
    for name in unets.builders(study.sizes):
        rows[name] = _row(study, name, source, yard)
        report(
            f"{name}: {study.images / rows[name].training:.1f} images/s in training, "
            f"{study.samples / rows[name].sampling:.2f} in sampling, "
            f"distance {with_error(rows[name].distance)}"
        )
    real = some(source.validation, study.samples)[0]
    yardsticks = {
        "other real images": distance_of(real, yard),
        "test images with noise of 0.1": distance_of(noisy(source.test), yard),
    }
    verdict, holds = _verdict(rows)
    report(verdict)
    lines = [*_page(study, rows, yardsticks, yard), verdict]
    cells = [row.x[: study.shown] for row in rows.values()] + [real[: study.shown]]
    lines += picture(
        [[*each] for each in cells],
        source,
        place(folder) / f"{NAME}-samples.png",
        f"The first samples of {', '.join(rows)}, each in a row, and real images below them.",
    )
    page = write_page(NAME, lines, {}, folder)
    report(f"page: {page}")
    return {
        "distances": {
            name: [row.distance.value, row.distance.stderr] for name, row in rows.items()
        },
        "training": {name: study.images / row.training for name, row in rows.items()},
        "sampling": {name: study.samples / row.sampling for name, row in rows.items()},
        "floor": yardsticks["other real images"].value,
        "holds": holds,
    }


def _row(study: Study, name: str, source: Source, yard: Yard) -> Row:
    contender, outcome = trained(study, name, source)
    x, seconds = samples(study, name, contender, source.description)
    figures = KeptFigures(study.home / name / f"figures-{yard.spaces[SPACE].hash}.json")
    distance = figures.get("distance", lambda: asdict(distance_of(x, yard)))
    return Row(
        parameters=contender.parameters,
        training=outcome.seconds,
        sampling=seconds,
        distance=Measured(**distance),
        x=x,
    )


# --- what is said -------------------------------------------------------------------------------


def _verdict(rows: Mapping[str, Row]) -> tuple[str, bool]:
    """In words, and whether danlu is as near as the best other, up to `ERRORS`."""
    others = [name for name in rows if name != OURS]
    best = min(others, key=lambda name: rows[name].distance.value)
    ours, other = rows[OURS].distance, rows[best].distance
    assert ours.stderr is not None
    assert other.stderr is not None
    apart, error = ours.value - other.value, math.hypot(ours.stderr, other.stderr)
    holds = apart <= ERRORS * error
    words = "nearer" if apart <= 0 else ("as near" if holds else "further away")
    return (
        f"{OURS} is {with_error(ours)} away, {best}, the best of the others, {with_error(other)}: "
        f"the difference is {apart:.2f} ± {error:.2f}, so danlu is {words} "
        f"(it may be {ERRORS:g} standard errors further away)."
    ), holds


def _page(
    study: Study, rows: Mapping[str, Row], yardsticks: Mapping[str, Measured], yard: Yard
) -> list[str]:
    cells = [
        [
            name,
            SETTINGS[name].name,
            f"{row.parameters / 1e6:.2f} M",
            f"{study.images / row.training:.1f}",
            f"{row.training:.0f}",
            f"{study.samples / row.sampling:.2f}",
            with_error(row.distance),
        ]
        for name, row in rows.items()
    ]
    cells += [[name, *[""] * 5, with_error(found)] for name, found in yardsticks.items()]
    heading = [
        "library", "setting", "parameters", "training images/s", "training s",
        "sampling images/s", "distance",
    ]  # fmt: skip
    return [
        f"# U-Nets after the same training on {yard.source.name}",
        "",
        f"Command: `{COMMAND}`, {torch.get_num_threads()} thread(s), seed {study.seed}. Each of",
        "the networks of [U-Nets side by side](diffusion-speed.md) sees the same",
        f"{study.images:,} images in the same batches of {study.batch}, set into {SIDE}x{SIDE}",
        "pixels, without classes, by its library's own loss: danlu the velocity of the straight",
        "path at logit-normal times, diffusers v by its squared error over the linear table of a",
        "thousand steps, denoising-diffusion-pytorch v by the error of the noise behind it over a",
        "sigmoid table. Of the losses of danlu that were tried this was the nearest on the",
        "validation split; those of the others were not searched, but that diffusers learns v and",
        "not noise. The rest is the same for all:",
        f"AdamW, gradients clipped to norm 1, a rate that climbs to {study.rate:g} over the first",
        f"{WARMUP:.0%} of the steps and falls along a cosine, and a power average of the weights.",
        "The rate was chosen before, on the validation split. The averages draw by each library's",
        f"DDIM with {unets.EVALUATIONS} evaluations.",
        "",
        f"Distances are Fréchet distances of {study.samples:,} samples from the",
        f"{len(yard.reference):,} test images in the features of a classifier (hash",
        f"`{yard.spaces[SPACE].hash}`), with the standard error of drawing other samples; another",
        "training is not in it. The real images are as many validation images; the noisy ones the",
        "whole test split. Seconds of training are those of the steps alone.",
        *table(heading, cells),
    ]
