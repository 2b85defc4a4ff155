"""Train one run: its data, stream, model, trainer and hooks put together.

The same call starts a run and goes on with one: where the folder has a checkpoint, training
continues from it, with the recorded config.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import zip_longest
from pathlib import Path

from danlu.contracts import DanluError, DataDescription
from danlu.data import SOURCES, ExampleStream, Source, open_source
from danlu.data.fingerprints import differences
from danlu.data.text import UNITS, text_source
from danlu.evaluation.scoring import beyond_reach
from danlu.generative.base import GenerativeModel
from danlu.runs.config import DataChoice, data_fields
from danlu.runs.families import Classes
from danlu.runs.folders import Run
from danlu.runs.hooks import CELLS, Measure, SamplePictures
from danlu.runs.observer import Observer
from danlu.runs.settings import Settings
from danlu.runs.texts import TextSamples
from danlu.runs.tracking import TRACKERS, require_tracker
from danlu.training import Budget, Hook, Outcome, Policy, Trainer, TrainingRun
from danlu.training.budget import Spent
from danlu.training.checkpoint import begun, load_average
from danlu.training.processes import Processes, SingleProcess
from danlu.training.recomputing import WithinMemory

CHECKPOINT_SECONDS = 60.0
SHOWN = 8
"""So many characters that differ are named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What a training run is surrounded by.

    Attributes:
        policy: how the hardware is used; None keeps the recorded one or chooses.
        measure: cheap figures for the curves, measured with the pictures.
        points: samples behind such a figure.
        observer: who watches.
        fresh: the model of a run that was made just now, of this source; None builds it, and
            compares the source with what the run learned from.
        replay: a run folder whose logged fractions replace the clock.
        classes: builders of foreign families.
        processes: those that train together.
        memory: bytes that a step may use; None recomputes nothing.
        hooks: further ones.
        checkpoint_seconds: training seconds between checkpoints.
        track: a name of TRACKERS, or none.
    """

    policy: Policy | None = None
    measure: Measure | None = None
    points: int = CELLS
    observer: Observer = field(default_factory=Observer)
    fresh: GenerativeModel | None = None
    replay: Path | None = None
    classes: Classes = None
    processes: Processes = field(default_factory=SingleProcess)
    memory: float | None = None
    hooks: Sequence[Hook] = ()
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    track: str | None = None


def train(run: Run, source: Source, surroundings: Surroundings | None = None) -> Outcome:
    """Train a run to the end of its budget, or on from its newest checkpoint.

    Raises:
        DanluError: the data is not what the run was made for.
        NonFiniteError: a loss or gradient is infinite or NaN; the last good checkpoint stays.
    """
    around = surroundings or Surroundings()
    config = run.config
    if around.track is not None:
        require_tracker(around.track)
    changed = [*run.notices]
    if around.fresh is None:
        changed += require_same_data(run, source)
    for line in changed:
        around.observer.say(line)
    stream = ExampleStream(
        source.training,
        source.description,
        batch=config.plan.batch,
        seed=config.seed,
        flips=config.data.flips,
    )
    model = around.fresh or config.build(around.classes)
    hooks: list[Hook] = []
    setting = TrainingRun(
        folder=run.folder,
        seed=config.seed,
        hooks=hooks,
        policy=around.policy,
        processes=around.processes,
        checkpoint_seconds=around.checkpoint_seconds,
        replay=around.replay,
    )
    trainer = Trainer(model, stream, config.plan, config.budget, run=setting)
    # The trainer settles the policy, at which some of its hooks draw.
    hooks += _hooks(run, source, around, trainer.policy, samples="sample" in model.can)
    outcome = trainer.run()
    return replace(outcome, notices=(*changed, *outcome.notices))


def _hooks(
    run: Run, source: Source, around: Surroundings, policy: Policy, *, samples: bool
) -> list[Hook]:
    hooks = [*around.observer.hooks(run.folder.name), *around.hooks]
    if run.config.description.is_text:
        hooks.append(TextSamples(run.folder, run.config, policy, source.validation))
    elif samples:
        pictures = SamplePictures(
            run.folder,
            run.config,
            policy,
            measure=around.measure,
            points=around.points,
            behind=source.validation.x() if source.description.is_plane else None,
        )
        hooks.append(pictures)
    if around.memory is not None:
        hooks.append(WithinMemory(around.memory))
    if around.track is not None:
        hooks.append(TRACKERS[around.track](run.folder))  # after the pictures, which it shows
    return hooks


def open_data(choice: DataChoice) -> Source:
    """The data of a run, with a notice of what it is too small to measure."""
    if choice.unit is None:
        source = open_source(choice.source, size=choice.size, label=choice.label)
        line = beyond_reach(min(len(source.test), len(source.validation)))
        return replace(source, notices=(*source.notices, line)) if line else source
    paths = [Path(path) for path in (choice.source, *choice.more)]
    return text_source(paths, window=choice.size, unit=choice.unit, reader=choice.reader)


def require_same_data(run: Run, source: Source) -> list[str]:
    """Compare data with what a run learned from: notices about examples that have changed.

    Raises:
        DanluError: ids of classes, characters or levels would mean something else.
    """
    config, reasons = run.config, []
    old, new = config.description, source.description
    for each in fields(DataDescription):
        before, now = getattr(old, each.name), getattr(new, each.name)
        if before != now and each.name == "alphabet":
            reasons.append(_characters(before, now))
        elif before != now:
            reasons.append(f"{each.name} {now}, was {before}")
    if old.classes == new.classes and config.class_names != source.class_names:
        pairs = zip_longest(config.class_names, source.class_names)
        number, (before, now) = next((i, p) for i, p in enumerate(pairs) if p[0] != p[1])
        reasons.append(f"class {number} is {now!r}, was {before!r}")
    if reasons:
        raise DanluError(
            f"{source.name} is not the data of {run.folder} any more: {'; '.join(reasons)}."
        )
    if not config.splits:
        return [f"{run.folder} is of an earlier version, which kept no fingerprint of the data: "
                "whether the examples are the same cannot be told."]  # fmt: skip
    return differences(config.splits, source)


def _characters(before: str | None, now: str | None) -> str:
    """How two alphabets differ."""
    if not before or not now:
        return f"unit {_unit(now)}, was {_unit(before)}"
    more, fewer = (sorted(set(a) - set(b))[:SHOWN] for a, b in ((now, before), (before, now)))
    words = [f"{len(now)} characters, were {len(before)}"] if len(now) != len(before) else []
    words += [f"new characters {', '.join(map(repr, more))}"] if more else []
    words += [f"without {', '.join(map(repr, fewer))}"] if fewer else []
    return "; ".join(words)


def _unit(alphabet: str | None) -> str:
    return "none" if alphabet is None else "characters" if alphabet else "bytes"


def choose_data(name_or_path: str, *, size: int | None = None, label: str = "none") -> DataChoice:
    """A choice that means the same from any folder: paths become absolute."""
    path = Path(os.path.expanduser(name_or_path))  # leaves the `~` of a user who is not here
    is_path = name_or_path not in SOURCES and path.exists()
    source = str(path.resolve()) if is_path else name_or_path
    return DataChoice(source=source, size=size, label=label)


def choose_text(paths: Sequence[str], settings: Settings, *, size: int | None = None) -> DataChoice:
    """The text of some files and folders, in windows of `size`."""
    first, *more = (str(Path(os.path.expanduser(path)).resolve()) for path in paths)
    plain = DataChoice(source=first, size=size, unit=UNITS[0], more=tuple(more))
    return replace(plain, **settings.read("data", data_fields(plain)))


def longer(run: Run, budget: Budget) -> Run:
    """The run with a longer budget, counted from its very first step.

    Raises:
        DanluError: it has been trained that long already.
    """
    spent = load_average(run.folder)[0].total if begun(run.folder) else Spent()
    if _exceeds(budget, spent):
        return run.extended(budget)
    if budget.steps is not None:
        raise DanluError(
            f"{run.folder} has trained {spent.steps} steps already; "
            f"--steps counts them too, so give more than that."
        )
    raise DanluError(
        f"{run.folder} has trained {spent.seconds / 60:.3g} minutes already; "
        f"--minutes counts them too, so give more than that."
    )


def _exceeds(budget: Budget, spent: Spent) -> bool:
    """Whether a budget is longer than what was spent."""
    if budget.steps is not None:
        return budget.steps > spent.steps
    return 60 * (budget.minutes or 0.0) > spent.seconds


def require_unfinished(run: Run) -> None:
    """Raise `DanluError` when a run has spent its budget, and say how to go on."""
    if not begun(run.folder):
        return
    meta, budget = load_average(run.folder)[0], run.config.budget
    if meta.finished and not _exceeds(budget, meta.total):  # a longer one may just be recorded
        length = f"--minutes {2 * budget.minutes:.3g}" if budget.minutes else ""
        length = length or f"--steps {2 * meta.total.steps}"
        raise DanluError(
            f"{run.folder} is finished, after {meta.total.steps} steps. Give a longer budget, what "
            f"it has included, to go on: `danlu train --resume {run.folder} {length}`."
        )


def default_folder(family: str, data: str) -> Path:
    """`runs/FAMILY-DATA`, with plain characters alone."""
    stem = Path(data).name or data
    words = f"{family.rpartition(':')[2]}-{stem.partition('.')[0]}".lower()
    return Path("runs") / "".join(c if c.isalnum() or c in "-_" else "-" for c in words)
