"""The figures of a race: yardsticks, models, likelihoods, each within the time that is left.

All rows are scored on equally many samples, since distances depend on their number.
"""

from collections.abc import Sequence
from time import perf_counter

from danlu.contracts import CapabilityError, DanluError, NonFiniteError
from danlu.evaluation.corruptions import yardsticks
from danlu.evaluation.results import Row, RowKind
from danlu.measuring.curves import curve_measure, doubts, pictures
from danlu.measuring.effort import by_evaluations
from danlu.measuring.figures import (
    Subject,
    Trained,
    add_scores,
    evidence_row,
    model_row,
    neighbour_picture,
    open_subject,
)
from danlu.measuring.held_out import Yard
from danlu.measuring.kernel_density import kernel_row, kernel_subject
from danlu.measuring.planning import EVIDENCE_SECONDS, Allotment, Clock
from danlu.measuring.yardsticks import scored, scored_in_time
from danlu.races.request import Member, RaceRequest
from danlu.runs.drawing import Drawn
from danlu.runs.observer import Observer
from danlu.training import Policy

OVERRUN = 0.08
"""Share of the whole time by which a race may take longer before anything is given up."""
EVIDENCE_EXAMPLES = 500
DAMAGED_SHARE = 0.5
"""Most of the time after all figures that noise and blur rows may take."""
REAL = 3
"""Yardsticks that are scored before training: floor, train copy and shuffled values."""


class Jury:
    """Scores what a race brings forth.

    Attributes:
        real: rows of the floor, the train copy and shuffled values.
    """

    def __init__(
        self,
        request: RaceRequest,
        yard: Yard,
        clock: Clock,
        policy: Policy,
        observer: Observer,
        notices: list[str],
    ) -> None:
        self.request = request
        self.yard = yard
        self.clock = clock
        self.policy = policy
        self.observer = observer
        self.notices = notices
        self.real: list[Row] = []

    def score_real(self, samples: int) -> float:
        """Score `real`; gives the seconds that one row takes."""
        rows, seconds = yardsticks(self.yard.source, samples)[:REAL], 0.0
        self.real = []
        with self.clock.part("yardsticks"):
            self.observer.started("yardsticks")
            for yardstick in rows:
                began = perf_counter()  # the very first row also pays for the reference
                self.real.append(scored(yardstick, self.yard, self.request.folder))
                seconds = perf_counter() - began
        return seconds

    def rows(self, members: Sequence[Member], plan: Allotment) -> tuple[list[Row], list[Row]]:
        """A row for every run, in their order, and the rows that do not compete.

        Likelihoods come last and take what is left.
        """
        rows = {member.name: self._empty(member) for member in members}
        subjects = {
            member.name: open_subject(member.run, self.policy, self.request.classes)
            for member in members
            if member.run is not None and not member.failure
        }
        for subject in subjects.values():
            for line in (*subject.notices, *doubts(subject.folder)):
                self._notice(f"{subject.name}: {line}")
        drawn = self._draw(subjects, plan)
        samples = min((len(each.x) for each in drawn.values()), default=plan.samples)
        for name, subject in subjects.items():
            self.observer.started(f"figures of {name}")
            rows[name] = model_row(subject)
            rows[name].grids = pictures(subject.folder, self.request.folder)
            self._figures(rows[name], subject, drawn[name])
            self.observer.finished(rows[name])
        kernels = self._kernels(samples)
        self._efforts(rows, subjects, plan)
        rest = self._damaged(samples, plan)
        for index, (name, subject) in enumerate(subjects.items()):
            self._likelihood(rows[name], subject, plan, len(subjects) - index)
        return list(rows.values()), [*kernels, *self.real, *rest]

    def _draw(self, subjects: dict[str, Trained], plan: Allotment) -> dict[str, Drawn]:
        """Equally many samples of every model: as planned, or what the slowest one can give."""
        drawn: dict[str, Drawn] = {}
        with self.clock.part("samples"):
            for index, (name, subject) in enumerate(subjects.items()):
                self.observer.started(f"samples of {name}")
                later = ("metrics", "kernel density", "report")
                scoring = sum(plan.parts[part] for part in later)
                seconds = (self._left(plan) - scoring) / (len(subjects) - index)
                most = min((len(each.x) for each in drawn.values()), default=plan.samples)
                drawn[name] = subject.draw(self.yard, most, seconds)
        fewest = min((len(each.x) for each in drawn.values()), default=plan.samples)
        if fewest < plan.samples:
            self._notice(f"Figures are of {fewest} samples; there was no time for {plan.samples}.")
            self.score_real(fewest)
        return {name: each.first(fewest) for name, each in drawn.items()}

    def _figures(self, row: Row, subject: Subject, drawn: Drawn) -> None:
        with self.clock.part("metrics"):
            try:
                add_scores(row, self.yard, drawn)
            except NonFiniteError as error:
                row.failure = str(error)
                return
            if self.request.neighbours:
                home = self.request.folder
                row.neighbours = neighbour_picture(subject, drawn, self.yard, home)

    def _kernels(self, samples: int) -> list[Row]:
        """The kernel density, where the data allows one."""
        home = self.request.folder
        with self.clock.part("kernel density"):
            self.observer.started("kernel density")
            try:
                subject = kernel_subject(self.yard, self.policy, home)
            except DanluError as error:
                self._notice(f"There is no kernel density: {error}")
                return []
            neighbours, seconds = self.request.neighbours, EVIDENCE_SECONDS / 10
            row = kernel_row(
                subject, self.yard, samples, home=home, neighbours=neighbours, seconds=seconds
            )
        self.observer.finished(row)
        return [row]

    def _efforts(self, rows: dict[str, Row], subjects: dict[str, Trained], plan: Allotment) -> None:
        """Curves against evaluations, each within its part of the plan."""
        if not plan.efforts:
            self._notice("Curves against evaluations were left out for lack of time.")
            return
        measure, began = curve_measure(self.yard), perf_counter()
        with self.clock.part("evaluations"):
            for name, subject in subjects.items():
                if rows[name].failure:
                    continue
                self.observer.started(f"evaluations of {name}")
                planned = plan.parts["evaluations"] - (perf_counter() - began)
                left = min(planned, self._left(plan))
                rows[name].by_evaluations = by_evaluations(
                    subject, measure, plan.efforts, seed=self.yard.seed, seconds=left
                )

    def _damaged(self, samples: int, plan: Allotment) -> list[Row]:
        """The noise and blur rows, where the time is left for them."""
        rows = yardsticks(self.yard.source, samples)[REAL:]
        each = plan.scoring * len(self.yard.reference) / max(1, samples)
        seconds = DAMAGED_SHARE * self._left(plan)
        with self.clock.part("yardsticks"):
            self.observer.started("yardsticks")
            found, left_out = scored_in_time(
                rows, self.yard, self.request.folder, seconds=seconds, each=each
            )
        for name in left_out:
            self._notice(f"The row “{name}” was left out for lack of time.")
        return found

    def _likelihood(self, row: Row, subject: Subject, plan: Allotment, waiting: int) -> None:
        try:
            subject.model.require("log_prob")
        except CapabilityError as error:
            self._notice(f"{row.name} has no likelihood row: {error}")
            return
        seconds = min(self._left(plan) / waiting, EVIDENCE_SECONDS)
        if row.failure or seconds <= 0:
            self._notice(f"The likelihood of {row.name} was left out for lack of time.")
            return
        self.observer.started(f"likelihood of {subject.folder.name}")
        with self.clock.part("likelihood"):
            row.evidence = evidence_row(subject, self.yard, EVIDENCE_EXAMPLES, seconds)

    def _left(self, plan: Allotment) -> float:
        """Seconds for what may still be given up."""
        return self.clock.left - plan.parts["report"]

    def _empty(self, member: Member) -> Row:
        return Row(name=member.family, kind=RowKind.MODEL, failure=member.failure)

    def _notice(self, line: str) -> None:
        if line not in self.notices:
            self.notices.append(line)
            self.observer.say(line)
