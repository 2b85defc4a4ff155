"""Samples of kept runs, drawn and scored once for each way of drawing them.

A study trains ordinary runs, which are found again by their folders. Beside the weights of a run
stand its samples, kept block by block, and `figures-HASH.json` with the figures of what is
finished, where HASH is that of the feature space. So a study that was cut off goes on where it
was, and one that is finished is written again at once. All ways of drawing start from the same
noise and are asked for the same classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from danlu.contracts import DanluError
from danlu.data import Source
from danlu.evaluation.canvas import Figure, ticker
from danlu.evaluation.features.classifier import classifier_space
from danlu.evaluation.metrics.class_agreement import ClassAgreement
from danlu.evaluation.metrics.cloud import Cloud
from danlu.evaluation.metrics.frechet import Frechet
from danlu.evaluation.metrics.metric import Comparison
from danlu.evaluation.pictures import grid
from danlu.evaluation.reference import Reference
from danlu.evaluation.results import Measured
from danlu.evaluation.scoring import prepared
from danlu.measuring.figures import evidence_row, open_subject
from danlu.measuring.held_out import Yard
from danlu.runs.config import RunConfig
from danlu.runs.drawing import words_for_options
from danlu.runs.folders import CONFIG, Run, create, open_run
from danlu.runs.train import train
from danlu.training import Policy
from danlu.training.checkpoint import FOLDER, LATEST, load_average
from danlu_bench.kept import SECONDS, Images, KeptFigures, kept_samples
from danlu_bench.page import curves

SPACE = "classifier"

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRow:
    """The figures of one way of drawing samples.

    Attributes:
        evaluations: of the network for one sample; guidance doubles them.
        samples: how many were drawn and scored.
        seconds: CPU time of drawing them all.
        distance: Fréchet distance in the feature space, with its standard error.
        agreement: share of samples of the class that was asked for, with its standard error.
    """

    evaluations: int
    samples: int
    seconds: float
    distance: Measured
    agreement: Measured

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "SampleRow":
        """What `asdict` gave."""
        measured = {name: Measured(**raw[name]) for name in ("distance", "agreement")}
        return cls(**{**raw, **measured})


def open_yards(source: Source, seed: int) -> dict[str, Yard]:
    """The test and the validation split as references, in the space of the classifier."""
    spaces = {SPACE: classifier_space(source)}
    return {
        split: Yard(source=source, reference=Reference.of(source, split), spaces=spaces, seed=seed)
        for split in ("test", "validation")
    }


def distance_and_agreement(
    x: Images, classes: Int[Tensor, " n"] | None, yard: Yard
) -> tuple[Measured, Measured]:
    """Of some examples from a reference, in the space of the classifier."""
    compared = _comparison(x, classes, yard)
    return Frechet().measure(compared), ClassAgreement().measure(compared)


def distance_of(x: Images, yard: Yard) -> Measured:
    """Of some examples without classes from a reference, in the space of the classifier."""
    return Frechet().measure(_comparison(x, None, yard))


def _comparison(x: Images, classes: Int[Tensor, " n"] | None, yard: Yard) -> Comparison:
    x, space = prepared(x, yard.reference.description), yard.spaces[SPACE]
    return Comparison(x, classes, yard.reference, space, Cloud(space.features(x)))


def begun(folder: Path, config: RunConfig) -> Run:
    """The run of a folder, made now or before.

    Raises:
        DanluError: the folder holds a run of other settings.
    """
    made = open_run(folder) if (folder / CONFIG).exists() else create(folder, config)
    if made.config != config:
        raise DanluError(
            f"{folder} holds a run of other settings or another version; move it away."
        )
    return made


def trained(folder: Path, config: RunConfig, source: Source, command: str) -> Run:
    """The run of a folder at the end of its training, which is done now where it is not.

    Raises:
        DanluError: the folder holds a run of other settings.
        KeyboardInterrupt: training was interrupted; the command goes on from its checkpoint.
    """
    made = begun(folder, config)
    finished = (folder / FOLDER / LATEST).exists() and load_average(folder)[0].finished
    if not finished and train(made, source).interrupted:
        raise KeyboardInterrupt(f"interrupted; to go on: `{command}`.")
    return made


class SampledRun:
    """A trained run and the figures of its samples, each measured once.

    Args:
        run: trained.
        yards: split -> what samples are measured against.
        report: takes a line for each row.
    """

    def __init__(self, run: Run, yards: Mapping[str, Yard], report: Report) -> None:
        policy = Policy.choose("cpu", run.config.description)
        self.subject = open_subject(run, policy)
        self.yards = yards
        self.report = report
        space = next(iter(yards.values())).spaces[SPACE]
        self._figures = KeptFigures(run.folder / f"figures-{space.hash}.json")

    def row(self, n: int, *, split: str = "test", **changes: Any) -> SampleRow:
        """The figures of `n` samples, options of the run changed, against a split."""
        options = replace(self.subject.options, **changes)
        words = f"{n} samples against {split}, {words_for_options(options)}"

        def measure() -> dict[str, Any]:
            yard, (x, seconds) = self.yards[split], self._drawn(n, split, options)
            distance, agreement = distance_and_agreement(x, self._classes(yard, n), yard)
            evaluations = self.subject.model.sampling_evaluations(options)
            row = SampleRow(
                evaluations=evaluations,
                samples=n,
                seconds=seconds,
                distance=distance,
                agreement=agreement,
            )
            return asdict(row)

        row = SampleRow.from_dict(self._figures.get(words, measure))
        self.report(
            f"{self.subject.name}, {words}: distance {with_error(row.distance)}, "
            f"agreement {row.agreement.value:.1%}, {row.seconds:.1f} s"
        )
        return row

    def images(self, n: int, chosen: Sequence[int], **changes: Any) -> Images:
        """Some of the samples behind a row against the test split."""
        options = replace(self.subject.options, **changes)
        return self._drawn(n, "test", options)[0][list(chosen)]

    def first_of_classes(self, n: int, classes: Sequence[int]) -> list[int]:
        """The index of the first of `n` samples that was asked to be of each class."""
        asked = self._classes(self.yards["test"], n)
        if asked is None:
            return list(range(len(classes)))
        return [int((asked == each).int().argmax()) for each in classes]

    def _classes(self, yard: Yard, n: int) -> Int[Tensor, " n"] | None:
        told = self.subject.asked(yard, n)
        return None if told is None else told.ids

    def evidence(self, n: int) -> dict[str, Any]:
        """The likelihood of `n` test examples, as an `EvidenceRow` in plain data."""

        def measure() -> dict[str, Any]:
            began = process_time()
            found = asdict(evidence_row(self.subject, self.yards["test"], n, float("inf")))
            return {**found, SECONDS: process_time() - began}

        return self._figures.get(f"evidence of {n}", measure)

    def _drawn(self, n: int, split: str, options: Any) -> tuple[Images, float]:
        """Samples and the CPU seconds that they took; a block that is kept is not drawn again."""
        words = f"{split} {n} {words_for_options(options)}"
        stem = "".join(c if c.isalnum() or c in ".-" else "-" for c in words)
        path = self.subject.folder / "drawn" / f"{stem}.safetensors"
        subject, yard = replace(self.subject, options=options), self.yards[split]
        classes = subject.asked(yard, n)
        return kept_samples(
            path, subject.model.description, n, lambda rows: subject.block(yard, classes, rows).x
        )


def with_error(figure: Measured, digits: int = 2) -> str:
    """A figure with its standard error."""
    assert figure.stderr is not None
    return f"{figure.value:.{digits}f} ± {figure.stderr:.{digits}f}"


def by_evaluations(counts: Sequence[int], lines: Mapping[str, Sequence[float]]) -> Figure:
    """Distances by numbers of evaluations, both axes logarithmic."""
    x = [float(count) for count in counts]
    named = {name: (x, distances) for name, distances in lines.items()}
    figure = curves(named, "evaluations", "Fréchet distance, test split", log=True)
    (axes,) = figure.axes
    axes.set_yscale("log")
    axes.set_xticks(x, [str(count) for count in counts])
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def picture(rows: Sequence[Sequence[Tensor]], source: Source, path: Path, told: str) -> list[str]:
    """Write rows of images as one grid, and the lines of a page that show and tell it."""
    cells = torch.stack([image for row in rows for image in row])
    grid(cells, source.description, path=path, columns=len(rows[0]))
    return ["", f"![{path.stem.replace('-', ' ')}]({path.name})", "", told]
