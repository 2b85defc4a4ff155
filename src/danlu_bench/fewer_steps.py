"""One to eight evaluations: a rectified flow, its reflow and MeanFlow, and the flow's likelihood.

Three runs on Fashion-MNIST have one network and the same minutes of training; the pairs of the
reflow, made halfway, come on top. All samples have the same noise and classes, no guidance, and the
flows take Euler's steps, evenly spaced; nothing is chosen. The likelihood is that of the rectified
flow by its own ODE, on test images with their classes. After an interruption the same command
goes on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from danlu.data import Source
from danlu.evaluation.canvas import Figure
from danlu.evaluation.corruptions import some
from danlu.evaluation.results import Measured
from danlu.measuring.held_out import Yard, words_for_spaces
from danlu.runs.config import resolve
from danlu.runs.settings import Settings
from danlu.runs.train import choose_data, open_data
from danlu.training import Budget
from danlu_bench.kept import SECONDS
from danlu_bench.page import place, table, write_page
from danlu_bench.sample_rows import (
    SPACE,
    SampledRun,
    SampleRow,
    by_evaluations,
    distance_and_agreement,
    open_yards,
    picture,
    trained,
    with_error,
)

NAME = "fewer-steps"
COMMAND = f"OMP_NUM_THREADS=1 danlu bench {NAME}"
EULER = {
    "solver": "euler", "grid": "uniform", "guidance": 1.0, "guided_from": 0.0, "guided_until": 1.0,
}  # fmt: skip
WAYS: Mapping[str, Mapping[str, Any]] = {
    "rectified-flow": EULER,
    "reflow": EULER,
    "meanflow": {"jumps": "straight", "grid": "uniform"},
}
"""Family -> how it is sampled."""
FLOW = "rectified-flow"
BUDGET = Budget(minutes=4.0)
PUBLISHED_BITS = (
    ("DDPM, bound", "CIFAR-10", "≤ 3.75", "arXiv:2006.11239"),
    ("score SDE, sub-VP", "CIFAR-10", "2.99", "arXiv:2011.13456"),
    ("flow matching, straight path", "CIFAR-10", "2.99", "arXiv:2210.02747"),
    ("flow matching, straight path", "ImageNet 64×64", "3.31", "arXiv:2210.02747"),
)
PUBLISHED_DISTANCES = (
    ("rectified flow, 127 evaluations", "2.58", "arXiv:2209.03003"),
    ("second rectified flow, distilled, 1 evaluation", "4.85", "arXiv:2209.03003"),
    ("MeanFlow, 1 evaluation", "2.92", "arXiv:2505.13447"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What is trained and how it is sampled.

    Attributes:
        data: a name of SOURCES.
        settings: family -> settings of its run, as on the command line.
        budget: of each training.
        seed: of everything random.
        evaluations: of one sample.
        samples: of a row.
        likelihoods: test images whose likelihood is computed.
        shown: classes in the picture.
        home: folder of the runs.
    """

    data: str = "fashion-mnist"
    settings: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"reflow": ("model.pairs=2048",)}
    )
    budget: Budget = BUDGET
    seed: int = 0
    evaluations: tuple[int, ...] = (1, 2, 4, 8)
    samples: int = 500
    likelihoods: int = 64
    shown: tuple[int, ...] = (0, 1, 5, 8, 9)
    home: Path = Path("runs/fewer-steps")


Rows = Mapping[tuple[str, int], SampleRow]
"""(family, evaluations) -> row."""


def run(
    report: Callable[[str], None], *, study: Study | None = None, folder: Path | None = None
) -> dict[str, Any]:
    """A flow, its reflow and MeanFlow in 1 to 8 evaluations; bits per dimension of the flow."""
    study = study or Study()
    data = choose_data(study.data)
    source = open_data(data)
    yards = open_yards(source, study.seed)
    report(words_for_spaces(yards["test"].spaces))
    runs: dict[str, SampledRun] = {}
    rows: dict[tuple[str, int], SampleRow] = {}
    for family in WAYS:
        settings = Settings(study.settings.get(family, ()))
        config = resolve(family, source, data, study.budget, settings=settings, seed=study.seed)
        made = trained(study.home / family, config, source, f"danlu bench {NAME}")
        runs[family] = SampledRun(made, yards, report)
        report(f"{family}: {runs[family].subject.meta.position:,} images in training")
        for count in study.evaluations:
            rows[family, count] = runs[family].row(study.samples, **_way(family, count))
    evidence = runs[FLOW].evidence(study.likelihoods)
    bits = Measured(**evidence["bits_per_dim"])
    report(f"{FLOW}: {with_error(bits)} bits/dim on {evidence['examples']} test images")
    floor = distance_and_agreement(*some(source.validation, study.samples), yards["test"])[0]
    lines = _page(study, runs, rows, floor, yards["test"])
    lines += _likelihood(evidence, bits, source.name)
    lines += _picture(study, runs, source, place(folder))
    page = write_page(NAME, lines, {"distance": _curves(study, rows)}, folder)
    report(f"page: {page}")
    fewest = min(study.evaluations)
    return {
        "evaluations": list(study.evaluations),
        "distances": {
            family: [rows[family, count].distance.value for count in study.evaluations]
            for family in WAYS
        },
        "floor": floor.value,
        "bits_per_dim": [bits.value, bits.stderr],
        "holds": all(
            rows[family, fewest].distance.value < rows[FLOW, fewest].distance.value
            for family in WAYS
            if family != FLOW
        ),
    }


def _way(family: str, evaluations: int) -> dict[str, Any]:
    return {**WAYS[family], "evaluations": evaluations}


def _page(
    study: Study, runs: Mapping[str, SampledRun], rows: Rows, floor: Measured, yard: Yard
) -> list[str]:
    first, space = runs[FLOW].subject, yard.spaces[SPACE]
    trainings = [
        [
            family,
            f"{sum(p.numel() for p in each.subject.model.parameters()) / 1e6:.2f} M",
            f"{each.subject.seconds / 60:.1f}",
            f"{each.subject.meta.position:,}",
        ]
        for family, each in runs.items()
    ]
    counts = [f"{count}" for count in study.evaluations]

    def cells(family: str, words: Callable[[SampleRow], str]) -> list[str]:
        return [family, *(words(rows[family, count]) for count in study.evaluations)]

    return [
        f"# One to eight evaluations on {yard.source.name}",
        "",
        f"Command: `{COMMAND}`, {first.policy.threads} thread(s), seed {study.seed}. Three",
        "class-conditional models with one network and as many minutes of training, not counting",
        "the pairs of the reflow. Distances are Fréchet distances",
        f"of {study.samples:,} samples from the {len(yard.reference):,} test images in the",
        f"features of a classifier (hash `{space.hash}`), with their standard errors; as many",
        f"validation images are {with_error(floor)} from the test images. The same noise and",
        "classes for all, no guidance; the flows take Euler's steps, evenly spaced in time.",
        *table(["family", "parameters", "minutes of training", "images seen"], trainings),
        "",
        "## Distance by evaluations",
        *table(["family", *counts], [cells(f, lambda row: with_error(row.distance)) for f in runs]),
        "## Agreement by evaluations",
        "",
        "The share of samples that the classifier puts into the class that was asked for.",
        *table(["family", *counts], [cells(f, lambda r: f"{r.agreement.value:.1%}") for f in runs]),
        "## Published, of another data set and feature space",
        "",
        "Inception distances on CIFAR-10 after days of training; they cannot be compared with",
        "those above.",
        *table(["model", "distance", "source"], PUBLISHED_DISTANCES),
    ]


def _likelihood(evidence: Mapping[str, Any], bits: Measured, data: str) -> list[str]:
    ours = (f"**this {FLOW}**", f"{data}, test", with_error(bits), "measured here")
    return [
        "## Bits per dimension",
        "",
        f"The {FLOW} by the change of variables along its ODE, given the class:",
        f"{evidence['examples']} test images, {evidence['evaluations']} evaluations each, in",
        f"{evidence[SECONDS]:.0f} CPU seconds. The error is that of the mean over images, draws of",
        f"the dequantisation and probes included. {_sentence(evidence['note'])}The published",
        "figures are of colour photographs, where a pixel says more, and of long training; they",
        "show the scale and cannot be compared with ours.",
        *table(["model", "data", "bits/dim", "source"], (ours, *PUBLISHED_BITS)),
    ]


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}. " if note else ""


def _curves(study: Study, rows: Rows) -> Figure:
    lines = {
        family: [rows[family, count].distance.value for count in study.evaluations]
        for family in WAYS
    }
    return by_evaluations(study.evaluations, lines)


def _picture(
    study: Study, runs: Mapping[str, SampledRun], source: Source, folder: Path
) -> list[str]:
    """The same noises by every family and number of evaluations."""
    places = runs[FLOW].first_of_classes(study.samples, study.shown)
    rows = [
        [
            image
            for count in study.evaluations
            for image in runs[family].images(study.samples, places, **_way(family, count))
        ]
        for family in WAYS
    ]
    counts = ", ".join(map(str, study.evaluations))
    return picture(
        rows,
        source,
        folder / f"{NAME}-samples.png",
        f"The rows are {', '.join(WAYS)}; each shows the same {len(places)} noises with {counts} "
        "evaluations, from left to right.",
    )
