"""The race: chosen families, the same data, one budget for everything, and a report.

Feature networks, training, sampling, figures and the page all count. Speeds are measured before
training, all models train for the same time, and each is a run folder like any other.
"""

from dataclasses import asdict, replace
from time import perf_counter

import danlu
from danlu.contracts import CapabilityError, DanluError, NonFiniteError
from danlu.evaluation.corruptions import Yardstick, yardsticks
from danlu.evaluation.report import write_report
from danlu.evaluation.results import Results, Row, RowKind
from danlu.experiments.config import RunConfig, resolve
from danlu.experiments.curves import curve_measure, pictures
from danlu.experiments.entries import Member, RaceRequest
from danlu.experiments.families import builder_of
from danlu.experiments.machine import machine_facts
from danlu.experiments.measuring import (
    Subject,
    add_scores,
    evidence_row,
    model_row,
    neighbour_picture,
    open_subject,
)
from danlu.experiments.observer import Observer
from danlu.experiments.planning import SLACK, Allotment, Clock, allot, first_split, sample_count
from danlu.experiments.probing import features_seconds, sample_seconds
from danlu.experiments.repeats import merged
from danlu.experiments.runs import create, require_new
from danlu.experiments.settings import Settings
from danlu.experiments.train import Surroundings, open_data, train
from danlu.experiments.yard import Yard, open_yard
from danlu.experiments.yardsticks import scored, scored_in_time
from danlu.training import Budget, Policy

MOST_FEATURES = 0.4
"""Share of the whole time that a classifier may take."""
OVERRUN = 0.08
"""Share of the whole time by which it may take longer before anything is given up."""
EVIDENCE_EXAMPLES = 500
REAL = 2
"""Yardsticks of undamaged data, which are scored before training: floor and train copy."""
RESULTS = "results.json"


def race(request: RaceRequest, observer: Observer | None = None) -> Results:
    """Run a race; writes run folders, results.json and report.html.

    Raises:
        DanluError: bad input, told before anything is trained.
        KeyboardInterrupt: training was interrupted; what was trained is saved.
    """
    return Race(request, observer or Observer()).run()


class Race:
    """A race while it runs."""

    def __init__(self, request: RaceRequest, observer: Observer) -> None:
        self.request = request
        self.observer = observer
        self.clock = Clock(60 * request.minutes)
        self.notices: list[str] = []
        self.yardsticks: list[Yardstick] = []
        for family in request.families:
            builder_of(family, request.classes)
        require_new(request.folder)
        if request.features is not None and not request.features.is_file():
            raise DanluError(f"There is no file {request.features}.")
        self.source = open_data(request.data)
        for line in self.source.notices:
            self._notice(line)
        self.policy = Policy.choose(request.device, self.source.description)
        self.members = [
            Member(family, self._config(family, request.seed + repeat))
            for repeat in range(request.seeds)
            for family in request.families
        ]

    def run(self) -> Results:
        """All parts in order."""
        request, clock = self.request, self.clock
        clock.plan(first_split(clock.seconds, features_seconds(self.source)))
        self.observer.planned(clock.planned)
        yard = self._yard()
        plan, real = self._plan(yard)
        self._train(plan, yard)
        models = self._measure(plan, yard)
        rows = [*self._merge(models), *real, *self._damaged(plan, yard)]
        results = self._results(rows, yard)
        results.save(request.folder / RESULTS)
        with clock.part("report"):
            self.observer.started("report")
            write_report(results, request.folder, neighbours=request.neighbours)
        results.split = clock.split()
        results.save(request.folder / RESULTS)
        return results

    # --- before training ------------------------------------------------------------------------

    def _config(self, family: str, seed: int) -> RunConfig:
        return resolve(
            family,
            self.source,
            self.request.data,
            Budget(minutes=self.request.minutes),  # replaced when the plan is made
            settings=Settings(self.request.settings_of(family)),
            seed=seed,
            classes=self.request.classes,
        )

    def _yard(self) -> Yard:
        needed, most = self.clock.planned["features"], MOST_FEATURES * self.clock.seconds
        trained = needed <= most
        if not trained:
            self._notice(
                f"The classifier behind the distances would take {needed:.0f} of "
                f"{self.clock.seconds:.0f} seconds, so an untrained network takes its place and "
                "class agreement is not measured; a longer race has both."
            )
        with self.clock.part("features"):
            self.observer.started("features", needed if trained else None)
            return open_yard(
                self.source,
                extra=self.request.features,
                seed=self.request.seed,
                trained=trained,
            )

    def _plan(self, yard: Yard) -> tuple[Allotment, list[Row]]:
        """Measure speeds, score what needs no model, and share the time out."""
        request, clock = self.request, self.clock
        with clock.part("probe"):
            self.observer.started("probe", clock.planned["probe"])
            families = self.members[: len(request.families)]
            costs = [self._sample_seconds(member) for member in families] * request.seeds
        samples = sample_count(costs, clock.seconds)
        self.yardsticks = yardsticks(self.source, samples)
        rows = []
        with clock.part("yardsticks"):
            for yardstick in self.yardsticks[:REAL]:
                began = perf_counter()  # the first row also pays for the reference
                rows.append(scored(yardstick, yard, request.folder))
                scoring = perf_counter() - began
        plan = allot(clock, costs, samples=samples, scoring=scoring)
        clock.plan(plan.parts)
        self.observer.planned(clock.planned)
        self.observer.say(f"each model: {plan.training:.0f} s of training, {plan.samples} samples")
        return plan, rows

    def _sample_seconds(self, member: Member) -> float:
        model = member.config.build(self.request.classes).eval()
        model.require("sample")
        self.policy.place(model)
        return sample_seconds(model, member.config.options(model), self.policy)

    # --- training -------------------------------------------------------------------------------

    def _train(self, plan: Allotment, yard: Yard) -> None:
        around = Surroundings(
            policy=self.policy,
            measure=curve_measure(yard),
            points=plan.points,
            observer=self.observer,
            classes=self.request.classes,
        )
        with self.clock.part("training"):
            for index, member in enumerate(self.members):
                self.observer.started(
                    f"training {self.request.folder_of(member.family, member.config.seed).name}",
                    plan.training,
                )
                self._train_one(member, self._seconds(plan, index), around)

    def _seconds(self, plan: Allotment, index: int) -> float:
        """The planned training time, or less when earlier members took more than planned."""
        after = sum(plan.parts.values()) - plan.parts["training"]
        still = (self.clock.left - after) / (len(self.members) - index)
        slack = OVERRUN * self.clock.seconds
        return max(1.0, min(plan.training, still + slack / len(self.members)))

    def _train_one(self, member: Member, seconds: float, around: Surroundings) -> None:
        config = replace(member.config, budget=Budget(minutes=seconds / 60))
        member.run = create(self.request.folder_of(member.family, member.config.seed), config)
        try:
            outcome = train(member.run, self.source, around)
        except NonFiniteError as error:
            member.failure = str(error)
            self._notice(f"{member.name}: {error}")
            return
        if outcome.interrupted:
            raise KeyboardInterrupt

    # --- after training -------------------------------------------------------------------------

    def _measure(self, plan: Allotment, yard: Yard) -> list[Row]:
        """Figures of every model, then likelihoods with the time that is left."""
        rows, measured = [], []
        for member in self.members:
            assert member.run is not None
            if member.failure:
                rows.append(Row(name=member.family, kind=RowKind.MODEL, failure=member.failure))
                continue
            self.observer.started(f"measuring {member.name}")
            subject = open_subject(member.run, self.policy, self.request.classes)
            row = model_row(subject, member.family)
            try:
                self._figures(row, subject, yard, plan.samples)
                measured.append((row, subject))
            except NonFiniteError as error:
                row.failure = str(error)
            row.grids = pictures(member.run.folder, self.request.folder)
            self.observer.finished(row)
            rows.append(row)
        with self.clock.part("likelihood"):
            self._likelihoods(measured, yard, plan)
        return rows

    def _figures(self, row: Row, subject: Subject, yard: Yard, samples: int) -> None:
        with self.clock.part("samples"):
            drawn = subject.draw(yard, samples)
        with self.clock.part("metrics"):
            add_scores(row, yard, drawn)
            if self.request.neighbours:
                row.neighbours = neighbour_picture(subject, drawn, yard, self.request.folder)

    def _likelihoods(
        self, measured: list[tuple[Row, Subject]], yard: Yard, plan: Allotment
    ) -> None:
        after = plan.parts["report"] + SLACK * self.clock.seconds
        for index, (row, subject) in enumerate(measured):
            self.observer.started(f"likelihood of {subject.run.folder.name}")
            left = (self.clock.left - after) / (len(measured) - index)
            try:
                row.evidence = evidence_row(subject, yard, EVIDENCE_EXAMPLES, left)
            except CapabilityError as error:
                self._notice(f"{row.name} has no likelihood row: {error}")

    def _merge(self, rows: list[Row]) -> list[Row]:
        """One row for each family."""
        families = self.request.families
        return [merged([row for row in rows if row.name == family]) for family in families]

    def _damaged(self, plan: Allotment, yard: Yard) -> list[Row]:
        """The noise and blur rows, where the time is left for them."""
        rows = self.yardsticks[REAL:]
        each = plan.scoring * len(yard.reference) / max(1, plan.samples)
        left = self.clock.left - plan.parts["report"] + OVERRUN * self.clock.seconds
        with self.clock.part("yardsticks"):
            self.observer.started("yardsticks")
            found, left_out = scored_in_time(
                rows, yard, self.request.folder, seconds=left, each=each
            )
        for name in left_out:
            self._notice(f"The row “{name}” was left out for lack of time.")
        return found

    def _results(self, rows: list[Row], yard: Yard) -> Results:
        request, source = self.request, self.source
        return Results(
            title=f"Race on {source.name}, {request.minutes:g} minutes",
            data=source.name,
            description=asdict(source.description),
            rows=rows,
            seed=request.seed,
            seeds=request.seeds,
            split=self.clock.split(),
            features={name: space.facts() for name, space in yard.spaces.items()},
            machine=machine_facts(self.policy),
            held_out=len(yard.reference),
            reference=f"{yard.reference.split} split",
            command=request.command,
            version=danlu.__version__,
            notices=self.notices,
        )

    def _notice(self, line: str) -> None:
        if line not in self.notices:
            self.notices.append(line)
            self.observer.say(line)
