"""Measure one run: samples, figures, likelihood, neighbours, beside the yardsticks.

The test split is the reference behind printed figures; choices are made on the validation split.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import danlu
from danlu.contracts import CapabilityError, DanluError, unknown
from danlu.evaluation.corruptions import yardsticks
from danlu.evaluation.report import write_report
from danlu.evaluation.results import Measured, Results, Row, RowKind
from danlu.files import write_text
from danlu.measuring.curves import doubts, pictures
from danlu.measuring.figures import (
    add_scores,
    evidence_row,
    model_row,
    neighbour_picture,
    open_subject,
)
from danlu.measuring.held_out import Yard, open_yard, words_for_spaces
from danlu.measuring.planning import Clock
from danlu.measuring.yardsticks import scored
from danlu.runs.asking import asked_for, only_told
from danlu.runs.families import Classes
from danlu.runs.folders import RESULTS, Run
from danlu.runs.machine import machine_facts
from danlu.runs.observer import Observer
from danlu.runs.settings import Settings
from danlu.runs.texts import held_out_figures
from danlu.runs.train import open_data, require_same_data
from danlu.training import Policy
from danlu.training.records import record_json

SPLITS = ("test", "validation")
EVIDENCE_EXAMPLES = 500
EVIDENCE_SECONDS = 60.0
TEXT_RESULTS = "results-text.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationRequest:
    """What an evaluation was asked for.

    Attributes:
        split: the held-out split behind the figures.
        n: samples.
        features: a network of one's own.
        seed: of samples and estimates.
        folder: where results and report go; None takes the run's.
        settings: of the sampler.
        device: where the model runs.
        classes: builders of foreign families.
        asked: what is asked for, as `asked_for` takes it; held-out examples that are told something
            else, and samples of it, are left out.
        command: as it was typed.
    """

    split: str = "test"
    n: int = 1000
    features: Path | None = None
    seed: int = 0
    folder: Path | None = None
    settings: Settings = field(default_factory=Settings)
    device: str = "cpu"
    classes: Classes = None
    command: str = ""
    asked: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise unknown("split", self.split, SPLITS)
        if self.n < 1:
            raise DanluError(f"--n must be at least 1, got {self.n}.")

    def home(self, run: Path) -> Path:
        """Where results and report go."""
        return self.folder or run


def evaluate(run: Run, request: EvaluationRequest, observer: Observer | None = None) -> Results:
    """Measure a run; writes results.json and report.html.

    Raises:
        DanluError: bad input.
        NonFiniteError: samples hold NaN or infinity.
    """
    observer, clock = observer or Observer(), Clock(0.0)
    home = request.home(run.folder)
    source = open_data(run.config.data)
    notices = [*source.notices, *require_same_data(run, source), *doubts(run.folder)]
    asked = asked_for(run.config.description, run.config.class_names, 1, **request.asked)
    source = only_told(source, request.split, asked)
    policy = replace(Policy.choose(request.device, source.description), compile=False)
    subject = open_subject(run, policy, request.classes, request.settings)
    notices += subject.notices
    for line in notices[len(source.notices) :]:
        observer.say(line)
    with clock.part("features"):
        observer.started("features")
        yard = open_yard(source, split=request.split, extra=request.features, seed=request.seed)
    observer.say(words_for_spaces(yard.spaces))
    row = model_row(subject)
    with clock.part("samples"):
        observer.started(f"{request.n} samples")
        drawn = subject.draw(yard, request.n)
    home.mkdir(parents=True, exist_ok=True)
    with clock.part("metrics"):
        observer.started("metrics")
        add_scores(row, yard, drawn)
        row.neighbours = neighbour_picture(subject, drawn, yard, home)
        row.grids = pictures(run.folder, home)
    with clock.part("likelihood"):
        observer.started("likelihood")
        try:
            row.evidence = evidence_row(subject, yard, EVIDENCE_EXAMPLES, EVIDENCE_SECONDS)
        except CapabilityError as error:
            notices.append(f"No likelihood: {error}")
            observer.say(notices[-1])
    with clock.part("yardsticks"):
        observer.started("yardsticks")
        rows = [row, *_yardsticks(yard, request, home)]
    results = _results(rows, yard, run, request, policy, clock, notices)
    results.save(home / RESULTS)
    write_report(results, home)
    return results


def evaluate_text(run: Run, request: EvaluationRequest) -> tuple[Mapping[str, Measured], list[str]]:
    """The figures of a model of text on a held-out split, also as `results-text.json`; notices.

    Raises:
        DanluError: something that was asked for does not exist.
    """
    source = open_data(run.config.data)
    notices = require_same_data(run, source)
    model, _, damage = run.model(request.classes, request.device)
    notices += damage
    asked = asked_for(run.config.description, run.config.class_names, 1, **request.asked)
    source = only_told(source, request.split, asked)
    policy = replace(Policy.choose(request.device, source.description), compile=False)
    held_out = source.test if request.split == "test" else source.validation
    found = held_out_figures(
        model, held_out.x(), policy=policy, seed=request.seed, seconds=EVIDENCE_SECONDS
    )
    home = request.home(run.folder)
    home.mkdir(parents=True, exist_ok=True)
    figures = {name: asdict(measured) for name, measured in found.items()}
    facts = {"split": request.split, **figures, "notices": notices}
    write_text(home / TEXT_RESULTS, record_json(facts))
    return found, notices


def _yardsticks(yard: Yard, request: EvaluationRequest, home: Path) -> list[Row]:
    """All; on the validation split without the floor, for which the test split would be read."""
    source = yard.source
    if request.split == "test":
        rows = yardsticks(source, request.n)
    else:
        closed = replace(source, test=source.validation)
        every = yardsticks(closed, request.n, split=request.split)
        rows = [row for row in every if row.kind is not RowKind.FLOOR]
    return [scored(row, yard, home) for row in rows]


def _results(
    rows: list[Row],
    yard: Yard,
    run: Run,
    request: EvaluationRequest,
    policy: Policy,
    clock: Clock,
    notices: list[str],
) -> Results:
    return Results(
        title=f"{run.config.family} on {yard.source.name}",
        data=yard.source.name,
        description=asdict(yard.source.description),
        rows=rows,
        seed=request.seed,
        seeds=1,
        split={part: (0.0, used) for part, used in clock.used.items()},
        features={name: space.facts() for name, space in yard.spaces.items()},
        machine=machine_facts(policy),
        held_out=len(yard.reference),
        reference=f"{yard.reference.split} split",
        command=request.command,
        version=danlu.__version__,
        notices=notices,
    )
