"""The race: chosen families, the same data, one budget for everything, and a report.

Feature networks, training, sampling, figures and the page all count. Speeds are measured before
training, all models train for the same time (or see as many examples), and each is a run folder
like any other. A race that was interrupted goes on from what `race.json` and the runs keep.
"""

from dataclasses import asdict, replace
from math import inf, isinf
from time import monotonic

import danlu
from danlu.contracts import NonFiniteError
from danlu.evaluation.features import content_of
from danlu.evaluation.report import write_report
from danlu.evaluation.results import Results, Row
from danlu.measuring.costs import features_seconds, sample_seconds
from danlu.measuring.curves import curve_measure
from danlu.measuring.held_out import Yard, open_yard, words_for_spaces
from danlu.measuring.planning import Allotment, Clock, allot, first_split, sample_count
from danlu.races.jury import OVERRUN, Jury
from danlu.races.members import members_of, sizes, stage_shares
from danlu.races.request import Member, RaceRequest
from danlu.races.resuming import LOST, Heartbeat, RaceState
from danlu.runs.families import builder_of
from danlu.runs.folders import CONFIG, RACE, RESULTS, create, open_run, require_new
from danlu.runs.hooks import SHARE
from danlu.runs.machine import machine_facts
from danlu.runs.observer import Observer
from danlu.runs.tracking import require_tracker
from danlu.runs.train import CHECKPOINT_SECONDS, Surroundings, open_data, require_same_data, train
from danlu.training import Budget, Policy
from danlu.training.locking import held

MOST_FEATURES = 0.4
"""Share of the whole time that a classifier may take."""
SAVES, LEAST_BETWEEN = 4, 5.0
"""Checkpoints while one model trains, and least training seconds between two."""


class Race:
    """A race of one seed while it runs.

    Args:
        request: what was asked for; a folder that holds an unfinished race is gone on with.
        observer: who watches.
    """

    def __init__(self, request: RaceRequest, observer: Observer) -> None:
        self.request = request
        self.observer = observer
        self.notices: list[str] = []
        for family in request.families:
            builder_of(family, request.classes)
        if not (request.folder / RACE).exists() or (request.folder / RESULTS).exists():
            require_new(request.folder)
        if request.track is not None:
            require_tracker(request.track)
        if request.features is not None:
            content_of(request.features)  # what is no network is told before anything is trained
        self.source = open_data(request.data)
        for line in self.source.notices:
            self._notice(line)
        policy = Policy.choose(request.device, self.source.description)
        self.policy = policy if request.seconds is None else policy.by_the_clock()
        self.members = members_of(request, self.source)

    def run(self) -> Results:
        """All parts in order; writes run folders, results.json and report.html.

        Raises:
            KeyboardInterrupt: training was interrupted; what was trained is saved.
        """
        with held(self.request.folder):
            self._begin()
            try:
                return self._run()
            except KeyboardInterrupt:
                self.heart.beat(at_once=True)
                raise

    def _begin(self) -> None:
        """Take up what is there, or write the first file of a new race."""
        request = self.request
        self.state = self._state()
        self.clock = Clock(request.seconds or inf, request.spent + self.state.elapsed)
        self.clock.used, self.clock.planned = dict(self.state.used), dict(self.state.planned)
        self.heart = Heartbeat(request.folder)

    def _run(self) -> Results:
        request, clock = self.request, self.clock
        if not self.state.planned and not isinf(clock.seconds):
            clock.plan(first_split(clock.seconds, features_seconds(self.source)))
        self.observer.planned(clock.planned)
        self._tell_sizes()
        yard = self._yard()
        jury = Jury(request, yard, clock, self.policy, self.observer, self.notices)
        plan = self._plan(jury)
        self._train(plan, yard)
        models, others = jury.rows(self.members, plan)
        results = self._results([*models, *others], yard)
        with clock.part("report"):
            self.observer.started("report")
            write_report(results, request.folder, neighbours=request.neighbours)
        results.split = self._split()
        results.save(request.folder / RESULTS)
        return results

    # --- before training ------------------------------------------------------------------------

    def _state(self) -> RaceState:
        if not (self.request.folder / RACE).exists():
            return RaceState.begun(self.request)
        state, damage = RaceState.load(self.request.folder)
        if damage:
            self._notice(damage)
        for member in self.members:
            folder = self.request.folder_of(member.family)
            if (folder / CONFIG).exists():
                member.run = open_run(folder)
                member.config = member.run.config
                for line in require_same_data(member.run, self.source):
                    self._notice(line)
            member.failure = state.failures.get(folder.name, "")
        state.resumed(self.request.folder, self._begun())
        self.observer.say(
            f"going on in {self.request.folder}: {len(state.done)} of {len(self.members)} models "
            f"are trained, {state.elapsed:.0f} s of the budget are spent"
        )
        return state

    def _begun(self) -> dict:
        """Folders of the runs that have begun, by their names."""
        runs = [member.run for member in self.members if member.run is not None]
        return {run.folder.name: run.folder for run in runs}

    def _tell_sizes(self) -> None:
        """Parameters, steps and shares of stages; what was asked for stands in the report too."""
        asked = self.request.parameters is not None or self.request.examples is not None
        for line in sizes(self.request, self.members):
            (self._notice if asked else self.observer.say)(line)
        for line in stage_shares(self.request, self.members):
            self.observer.say(line)

    def _yard(self) -> Yard:
        needed, trained = self.clock.planned.get("features", 0.0), self.state.trained
        if trained is None:
            trained = needed <= MOST_FEATURES * self.clock.seconds
            self.state.trained = trained
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
        """Measure speeds, score what needs no model, and share the time out, once."""
        clock, plan = self.clock, self.state.plan
        if plan is not None:
            jury.score_real(plan.samples)
            self.state.lost += clock.elapsed - self.state.elapsed  # all of this was done before
            clock.rewind(self.state.elapsed, self.state.used)
            return plan
        with clock.part("probe"):
            self.observer.started("probe", clock.planned.get("probe"))
            costs = [self._sample_seconds(member) for member in self.members]
        samples = sample_count(costs, clock.seconds)
        scoring = jury.score_real(samples)
        plan = allot(clock, costs, samples=samples, scoring=scoring)
        clock.plan(plan.parts)
        self.observer.planned(clock.planned)
        training = "" if isinf(plan.training) else f"{plan.training:.0f} s of training, "
        self.observer.say(f"each model: {training}{plan.samples} samples")
        self.state.plan = plan
        self._milestone()
        return plan

    def _sample_seconds(self, member: Member) -> float:
        model = member.config.build(self.request.classes).eval()
        model.require("sample")
        self.policy.place(model)
        return sample_seconds(model, member.config.options(model), self.policy)

    # --- training -------------------------------------------------------------------------------

    def _train(self, plan: Allotment, yard: Yard) -> None:
        """The same time for every model, or less for later ones when earlier ones overran."""
        between = min(CHECKPOINT_SECONDS, max(LEAST_BETWEEN, plan.training / SAVES))
        around = Surroundings(
            policy=self.policy,
            measure=curve_measure(yard),
            points=plan.points,
            observer=self.observer,
            classes=self.request.classes,
            hooks=[self.heart],
            checkpoint_seconds=between,
            track=self.request.track,
        )
        after = sum(plan.parts.values()) - plan.parts.get("training", 0.0)
        after -= OVERRUN * self.clock.seconds
        overhead = 1 + SHARE  # wall seconds for a second of training, pictures and saving included
        waiting = [member for member in self.members if self._waits(member)]
        for index, member in enumerate(waiting):
            still = (self.clock.left - after) / (len(waiting) - index) / overhead
            seconds = max(1.0, min(plan.training, still))
            folder = self.request.folder_of(member.family)
            self.observer.started(f"training {folder.name}", None if isinf(seconds) else seconds)
            began = monotonic()
            try:
                with self.clock.part("training"):
                    self._train_one(member, seconds, around)
            except KeyboardInterrupt:
                self._milestone()
                raise
            overhead = max(overhead, (monotonic() - began) / seconds)
            self.state.done.append(folder.name)
            self._milestone()

    def _waits(self, member: Member) -> bool:
        name = self.request.folder_of(member.family).name
        return name not in self.state.done

    def _train_one(self, member: Member, seconds: float, around: Surroundings) -> None:
        folder = self.request.folder_of(member.family)
        if member.run is None:
            timed = Budget(minutes=seconds / 60) if self.request.examples is None else None
            config = replace(member.config, budget=timed or member.config.budget)
            member.run = create(folder, config)
        try:
            outcome = train(member.run, self.source, around)
        except NonFiniteError as error:
            member.failure = str(error)
            self.state.failures[folder.name] = member.failure
            self._notice(f"{member.name}: {error}")
            return
        if outcome.interrupted:
            raise KeyboardInterrupt

    def _milestone(self) -> None:
        self.state.milestone(self.request.folder, self.clock, self._begun())
        self.heart.restart()

    # --- results ---------------------------------------------------------------------------------

    def _split(self) -> dict[str, tuple[float, float]]:
        """Planned and used seconds of every part, with what was lost."""
        split = self.clock.split()
        if self.state.interruptions:
            split[LOST] = (0.0, self.state.lost)
        return split

    def _results(self, rows: list[Row], yard: Yard) -> Results:
        request, source = self.request, self.source
        return Results(
            title=f"Race on {source.name}, {words_for_budget(request)}",
            data=source.name,
            description=asdict(source.description),
            rows=rows,
            seed=request.seed,
            seeds=1,
            split=self._split(),
            features={name: space.facts() for name, space in yard.spaces.items()},
            machine=machine_facts(self.policy),
            held_out=len(yard.reference),
            reference=f"{yard.reference.split} split",
            command=request.command,
            version=danlu.__version__,
            notices=[line for line in (self.state.told(), *self.notices) if line],
            budget=request.seconds or 0.0,
            examples=request.examples or 0,
        )

    def _notice(self, line: str) -> None:
        if line not in self.notices:
            self.notices.append(line)
            self.observer.say(line)


def words_for_budget(request: RaceRequest) -> str:
    """What each seed gets."""
    if request.examples is not None:
        return f"{request.examples:,} examples a model"
    return f"{request.minutes:g} minutes"
