"""The race: chosen families, the same data, one budget for everything, and a report.

Feature networks, training, sampling, figures and the page all count. Speeds are measured before
training, all models train for the same time, and each is a run folder like any other.
"""

from dataclasses import asdict, replace
from time import monotonic

import danlu
from danlu.contracts import DanluError, NonFiniteError
from danlu.evaluation.report import write_report
from danlu.evaluation.results import Results, Row
from danlu.experiments.config import RunConfig, resolve
from danlu.experiments.curves import curve_measure
from danlu.experiments.entries import Member, RaceRequest
from danlu.experiments.families import builder_of
from danlu.experiments.hooks import SHARE
from danlu.experiments.jury import OVERRUN, Jury
from danlu.experiments.machine import machine_facts
from danlu.experiments.observer import Observer
from danlu.experiments.planning import Allotment, Clock, allot, first_split, sample_count
from danlu.experiments.probing import features_seconds, sample_seconds
from danlu.experiments.repeats import merged
from danlu.experiments.runs import create, require_new
from danlu.experiments.settings import Settings
from danlu.experiments.train import Surroundings, open_data, train
from danlu.experiments.yard import Yard, open_yard, words_for_spaces
from danlu.training import Budget, Policy

MOST_FEATURES = 0.4
"""Share of the whole time that a classifier may take."""
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
        self.clock = Clock(60 * request.minutes, request.spent)
        self.notices: list[str] = []
        for family in request.families:
            builder_of(family, request.classes)
        require_new(request.folder)
        if request.features is not None and not request.features.is_file():
            raise DanluError(f"There is no file {request.features}.")
        self.source = open_data(request.data)
        for line in self.source.notices:
            self._notice(line)
        policy = Policy.choose(request.device, self.source.description)
        self.policy = policy.by_the_clock()
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
        jury = Jury(request, yard, clock, self.policy, self.observer, self.notices)
        plan = self._plan(jury)
        self._train(plan, yard)
        models, damaged = jury.rows(self.members, plan)
        results = self._results([*self._merge(models), *jury.real, *damaged], yard)
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
            yard = open_yard(
                self.source,
                extra=self.request.features,
                seed=self.request.seed,
                trained=trained,
            )
        self.observer.say(words_for_spaces(yard.spaces))
        return yard

    def _plan(self, jury: Jury) -> Allotment:
        """Measure speeds, score what needs no model, and share the time out."""
        request, clock = self.request, self.clock
        with clock.part("probe"):
            self.observer.started("probe", clock.planned["probe"])
            families = self.members[: len(request.families)]
            costs = [self._sample_seconds(member) for member in families] * request.seeds
        samples = sample_count(costs, clock.seconds)
        scoring = jury.score_real(samples)
        plan = allot(clock, costs, samples=samples, scoring=scoring)
        clock.plan(plan.parts)
        self.observer.planned(clock.planned)
        self.observer.say(f"each model: {plan.training:.0f} s of training, {plan.samples} samples")
        return plan

    def _sample_seconds(self, member: Member) -> float:
        model = member.config.build(self.request.classes).eval()
        model.require("sample")
        self.policy.place(model)
        return sample_seconds(model, member.config.options(model), self.policy)

    # --- training -------------------------------------------------------------------------------

    def _train(self, plan: Allotment, yard: Yard) -> None:
        """The same time for every model, or less for later ones when earlier ones overran."""
        request = self.request
        around = Surroundings(
            policy=self.policy,
            measure=curve_measure(yard),
            points=plan.points,
            observer=self.observer,
            classes=request.classes,
        )
        after = sum(plan.parts.values()) - plan.parts["training"] - OVERRUN * self.clock.seconds
        overhead = 1 + SHARE  # wall seconds for a second of training, pictures and saving included
        for index, member in enumerate(self.members):
            still = (self.clock.left - after) / (len(self.members) - index) / overhead
            seconds = max(1.0, min(plan.training, still))
            folder = request.folder_of(member.family, member.config.seed)
            self.observer.started(f"training {folder.name}", seconds)
            began = monotonic()
            with self.clock.part("training"):
                self._train_one(member, seconds, around)
            overhead = max(overhead, (monotonic() - began) / seconds)

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
            again = f"danlu train --resume {member.run.folder}"
            raise KeyboardInterrupt(f"interrupted; to go on with this model: `{again}`.")

    # --- results ---------------------------------------------------------------------------------

    def _merge(self, rows: list[Row]) -> list[Row]:
        """One row for each family."""
        families = self.request.families
        return [merged([row for row in rows if row.name == family]) for family in families]

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
            budget=60 * request.minutes,
        )

    def _notice(self, line: str) -> None:
        if line not in self.notices:
            self.notices.append(line)
            self.observer.say(line)
