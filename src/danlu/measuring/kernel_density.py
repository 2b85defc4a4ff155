"""The non-parametric row of a race: a kernel density on the training examples."""

from pathlib import Path
from time import perf_counter

from danlu.evaluation.pictures import grid
from danlu.evaluation.results import Picture, Row, RowKind
from danlu.generative.kernel_density import KernelDensity
from danlu.measuring.figures import Subject, add_scores, evidence_row, neighbour_picture
from danlu.measuring.held_out import Yard
from danlu.runs.drawing import COLUMNS, POINTS, drawable
from danlu.runs.hooks import LAST_CELLS
from danlu.training import Policy

NAME = "kernel density"
EXAMPLES = 500
"""Held-out examples behind its likelihood."""


def kernel_subject(yard: Yard, policy: Policy, home: Path) -> Subject:
    """The kernel density of the training examples, its bandwidth chosen on the validation split.

    Raises:
        DanluError: the data has too few examples.
    """
    began = perf_counter()
    source = yard.source
    model = KernelDensity.fit(
        source.training, source.description, validation=source.validation, seed=yard.seed
    )
    policy.place(model)
    return Subject(
        name=NAME,
        folder=home / NAME.replace(" ", "-"),
        model=model.eval(),
        options=model.Options(),
        policy=policy,
        seconds=perf_counter() - began,
    )


def kernel_row(
    subject: Subject, yard: Yard, samples: int, *, home: Path, neighbours: bool, seconds: float
) -> Row:
    """Its figures, likelihood and pictures, from as many samples as the models have.

    Args:
        subject: the kernel density.
        yard: what it is measured against.
        samples: behind the figures.
        home: folder of the results.
        neighbours: whether training images may be shown.
        seconds: for the likelihood.
    """
    description = yard.reference.description
    row = Row(
        name=subject.name,
        kind=RowKind.NON_PARAMETRIC,
        examples=len(yard.source.training),
        train_seconds=subject.seconds,
        sample_evaluations=0,
        settings="no training: a Gaussian kernel on every training example",
    )
    drawn = subject.draw(yard, samples)
    add_scores(row, yard, drawn)
    row.evidence = evidence_row(subject, yard, EXAMPLES, seconds)
    if drawable(description):
        subject.folder.mkdir(parents=True, exist_ok=True)
        cells = LAST_CELLS if description.is_image else POINTS
        x = drawn.x[:cells]
        path = grid(x, description, path=subject.folder / "samples.png", columns=COLUMNS)
        alt = f"{len(x)} samples of the {NAME}: training examples with noise."
        row.grids = [Picture(subject.seconds, path.relative_to(home).as_posix(), alt)]
    if neighbours:
        row.neighbours = neighbour_picture(subject, drawn, yard, home)
    return row
