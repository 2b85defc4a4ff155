"""Solvers and guidance on real images: one trained DDPM, sampled in every way.

One class-conditional model of the discrete chain is trained for some minutes on Fashion-MNIST and
kept. All rows start from the same noise and are asked for the same classes. The grid of each solver
and the solver for ten evaluations are chosen by their distances from the validation split; what
is printed is the distance from the test split. After an interruption the same command goes on,
within the thousand steps of the ancestral chain too.
"""

from collections.abc import Callable, Mapping
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
from danlu_bench.fashion_solver_rows import Found, Study, measure, way
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

NAME = "fashion-solvers"
COMMAND = f"OMP_NUM_THREADS=1 danlu bench {NAME}"
PUBLISHED: Mapping[int, float] = {10: 13.36, 20: 6.84, 50: 4.67, 100: 4.16}
"""Inception distances of DDIM on CIFAR-10 by evaluations, arXiv:2010.02502 tab. 1."""
PUBLISHED_CHAIN = 3.17
"""That of the thousand ancestral steps, arXiv:2006.11239 tab. 1."""
MOST_RATIO = 1.1
"""What ten evaluations may cost in distance, against the whole chain."""


def run(
    report: Callable[[str], None], *, study: Study | None = None, folder: Path | None = None
) -> dict[str, Any]:
    """One DDPM on Fashion-MNIST by eight solvers, DDIM against a thousand steps, and guidance."""
    study = study or Study()
    data = choose_data(study.data)
    source = open_data(data)
    yards = open_yards(source, study.seed)
    report(words_for_spaces(yards["test"].spaces))
    config = resolve(
        study.family, source, data, study.budget, settings=Settings(study.settings), seed=study.seed
    )
    made = trained(study.home / study.family, config, source, f"danlu bench {NAME}")
    sampled = SampledRun(made, yards, report)
    found = measure(study, sampled)
    held_out = some(source.validation, study.samples)
    floor = distance_and_agreement(*held_out, yards["test"])
    figures = _figures(study, found, floor)
    report(figures["verdict"])
    lines = _page(study, found, floor, sampled, yards["test"])
    lines += _pictures(study, found, sampled, source, place(folder))
    page = write_page(NAME, lines, {"distance": _curves(study, found)}, folder)
    report(f"page: {page}")
    return figures


def _figures(study: Study, found: Found, floor: tuple[Measured, Measured]) -> dict[str, Any]:
    return {
        "distances": {
            solver: [found.rows[solver, count].distance.value for count in study.evaluations]
            for solver in study.solvers
        },
        "evaluations": list(study.evaluations),
        "grids": dict(found.grid),
        "chain": found.chain.distance.value,
        "floor": floor[0].value,
        "faster": {count: found.chain.seconds / row.seconds for count, row in found.ddim.items()},
        "guidance": {
            scale: [row.agreement.value, row.distance.value] for scale, row in found.guided.items()
        },
        "verdict": _verdict(study, found),
        "ratio": found.ratio(study),
        "holds": found.ratio(study) <= MOST_RATIO,
    }


def _verdict(study: Study, found: Found) -> str:
    within = "within" if found.ratio(study) <= MOST_RATIO else "not within"
    judged = "nearer" if found.ratio(study) < 1 else f"{within} {MOST_RATIO - 1:.0%}"
    few = found.rows[found.best, study.few]
    return (
        f"{study.few} evaluations of {found.best}, chosen on the validation split, are "
        f"{with_error(few.distance)} from the test split, {study.chain:,} ancestral steps "
        f"{with_error(found.chain.distance)}: {found.ratio(study):.2f} times as far, {judged}."
    )


def _page(
    study: Study,
    found: Found,
    floor: tuple[Measured, Measured],
    sampled: SampledRun,
    yard: Yard,
) -> list[str]:
    subject, space = sampled.subject, yard.spaces[SPACE]
    spent = (subject.seconds + found.seconds()) / 60
    parameters = sum(p.numel() for p in subject.model.parameters())
    return [
        f"# Solvers and guidance on {yard.source.name}",
        "",
        f"Command: `{COMMAND}`. One class-conditional `{study.family}` of",
        f"{parameters / 1e6:.2f} M parameters, trained for {subject.seconds / 60:.1f} minutes",
        f"({subject.meta.position:,} images, seed {study.seed}); with all samples of this page",
        f"{spent:.0f} minutes on {subject.policy.threads} thread(s). Distances are Fréchet",
        f"distances of {study.samples:,} samples from the {len(yard.reference):,} test images in",
        f"the features of a classifier (hash `{space.hash}`), with their standard errors. All rows",
        "have the same noise and classes, and but for the last table no guidance. As many",
        f"validation images are {with_error(floor[0])} from the test images, and the classifier",
        f"agrees with {floor[1].value:.1%} of their classes.",
        *_table_of_solvers(study, found),
        *_table_of_ddim(study, found),
        *_table_of_guidance(study, found),
    ]


def _table_of_solvers(study: Study, found: Found) -> list[str]:
    cells = [
        [
            solver,
            found.grid[solver],
            *(with_error(found.rows[solver, count].distance) for count in study.evaluations),
        ]
        for solver in study.solvers
    ]
    heading = ["solver", "grid", *(f"{count}" for count in study.evaluations)]
    return [
        "",
        "## Distance by evaluations of the network",
        "",
        f"The grid of a solver is the best of {', '.join(study.grids)} at {study.few} evaluations,",
        f"by the distance of {study.choosing} samples from the validation split. Euler's rule on",
        "the linear path is DDIM.",
        *table(heading, cells),
        _verdict(study, found),
    ]


def _table_of_ddim(study: Study, found: Found) -> list[str]:
    def cells(name: str, row: SampleRow, published: float | None) -> list[str]:
        per_thousand = 1000 * row.seconds / row.samples
        ratio = row.distance.value / found.chain.distance.value
        return [
            name,
            f"{per_thousand:.1f}",
            f"{found.chain.seconds / row.seconds:.1f}",
            with_error(row.distance),
            f"{ratio:.2f}",
            f"{row.agreement.value:.1%}",
            "" if published is None else f"{published:.2f}",
            "" if published is None else f"{published / PUBLISHED_CHAIN:.2f}",
        ]

    rows = [cells(f"ancestral, {study.chain:,}", found.chain, PUBLISHED_CHAIN)]
    rows += [
        cells(f"ddim, {count}", row, PUBLISHED.get(count)) for count, row in found.ddim.items()
    ]
    heading = [
        "sampler, evaluations", "CPU s for 1,000", "times as fast", "distance", "of the chain's",
        "agreement", "published", "of its chain's",
    ]  # fmt: skip
    return [
        "",
        f"## DDIM against {study.chain:,} ancestral steps",
        "",
        "The published figures are of another data set and another feature space, CIFAR-10 and",
        "Inception, after days of training (arXiv:2010.02502 tab. 1, arXiv:2006.11239 tab. 1):",
        "only the ratios can be held against these.",
        *table(heading, rows),
    ]


def _table_of_guidance(study: Study, found: Found) -> list[str]:
    cells = [
        [
            f"{scale:g}",
            str(row.evaluations),
            f"{row.agreement.value:.1%} ± {row.agreement.stderr or 0.0:.1%}",
            with_error(row.distance),
        ]
        for scale, row in found.guided.items()
    ]
    return [
        "",
        "## Classes by the scale of guidance",
        "",
        f"Classifier-free guidance with {study.guided} evaluations of {found.best} on the grid",
        f"{found.grid[found.best]}: the share of samples that the classifier puts into the class",
        "that was asked for, and the distance.",
        *table(["scale", "network evaluations", "agreement", "distance"], cells),
    ]


def _curves(study: Study, found: Found) -> Figure:
    lines = {
        solver: [found.rows[solver, count].distance.value for count in study.evaluations]
        for solver in study.solvers
    }
    level = [found.chain.distance.value] * len(study.evaluations)
    return by_evaluations(study.evaluations, {**lines, f"ancestral, {study.chain:,}": level})


def _pictures(
    study: Study, found: Found, sampled: SampledRun, source: Source, folder: Path
) -> list[str]:
    """Grids of samples that differ in the solver or in the scale of guidance alone."""
    n, names = study.samples, source.class_names or tuple(map(str, range(10)))
    counts = sorted(study.evaluations)
    places = sampled.first_of_classes(n, study.shown)
    ways = {(s, c): way(s, found.grid[s], c) for s in study.solvers for c in counts}
    drawn = {key: sampled.images(n, places, **each) for key, each in ways.items()}
    blocks = [
        [drawn[solver, count][i] for solver in study.solvers]
        for i in range(len(places))
        for count in counts
    ]
    shown = ", ".join(names[i] for i in study.shown)
    lines = picture(
        blocks,
        source,
        folder / f"{NAME}-samples.png",
        f"From one noise for each class ({shown}): the columns are {', '.join(study.solvers)}, the "
        f"rows {', '.join(map(str, counts))} evaluations for each class.",
    )
    every = list(range(min(10, len(names))))
    places = sampled.first_of_classes(n, every)
    guided = way(found.best, found.grid[found.best], study.guided)
    scales = [
        [*sampled.images(n, places, **{**guided, "guidance": scale})] for scale in study.scales
    ]
    lines += picture(
        scales,
        source,
        folder / f"{NAME}-guidance.png",
        f"Rows of one noise for each class, at guidance {', '.join(f'{s:g}' for s in study.scales)}"
        f"; the columns are {', '.join(names[i] for i in every)}.",
    )
    whole = sampled.images(n, places, **way("ancestral", "uniform", study.chain))
    few = [
        [*sampled.images(n, places, **way("ddim", found.grid["ddim"], count))]
        for count in study.by_ddim
    ]
    counted = ", ".join(map(str, study.by_ddim))
    return lines + picture(
        [[*whole], *few],
        source,
        folder / f"{NAME}-ddim.png",
        f"From one noise for each class: {study.chain:,} ancestral steps in the first row, then "
        f"DDIM with {counted} evaluations.",
    )
