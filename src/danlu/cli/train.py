"""Train one family, go on with a run, or repeat one."""

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from danlu.cli.console import Lasting, console_for, say, silent, write_json
from danlu.cli.foreign import classes_for
from danlu.cli.parser import (
    Parser,
    UsageError,
    add_budget,
    add_common,
    add_data,
    add_family,
    add_track,
)

if TYPE_CHECKING:
    from danlu.data import Source
    from danlu.generative.base import GenerativeModel
    from danlu.runs.config import RunConfig
    from danlu.runs.folders import Run
    from danlu.training import Budget, Policy
    from danlu.training.processes import Processes

    Beginning = tuple[Run, Source, GenerativeModel | None]

HELP = "train one family on your data, or go on with a run"
EXAMPLES = (
    "danlu train rectified-flow digits --minutes 2",
    "danlu train vae path/to/photos --size 32 --minutes 30 --out runs/photos",
    "danlu train gan digits --steps 500 --set optimizer.rate=1e-3 --set model.width=64",
    "danlu train vae digits --minutes 2 --set optimizer=amos",
    "danlu train lm --data book.txt --minutes 5 --set model.mixer=mamba2",
    "danlu train --resume runs/race/vae --minutes 60",
    "danlu train --replay runs/vae-digits --out runs/again",
    "torchrun --nproc-per-node 2 -m danlu train vae digits --minutes 2",
)
MINUTES = 5.0
INTERRUPTED = 130
OF_NEW_RUNS = {"seed": 0, "size": None, "label": "none", "device": "auto"}
"""Options that an old run has answered, with their defaults for a new one."""


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    parser.add_argument("family", nargs="?", help="see `danlu list families`, or module:Class")
    parser.add_argument(
        "data", nargs="?", help="a named set, a folder of images, .npz or IDX; text for lm and mlm"
    )
    parser.add_argument(
        "--data",
        nargs="+",
        dest="files",
        metavar="FILE",
        help="text files or folders, in its place",
    )
    add_budget(
        parser,
        minutes=f"length of training, what a run already has included (default {MINUTES:g})",
        steps="length of training in steps; such a run can be repeated bit for bit",
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--resume", metavar="RUN", help="go on with this run")
    group.add_argument("--replay", metavar="RUN", help="repeat this run, step by step")
    add_data(parser)
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help="what a training step may use, such as 2GB: blocks are recomputed in backward to fit",
    )
    add_common(parser, out="the run's folder (default runs/FAMILY-DATA)")
    add_track(parser)
    add_family(parser)
    parser.set_defaults(**dict.fromkeys(OF_NEW_RUNS))  # None: not given


def run(options: argparse.Namespace) -> int:
    """Train; 0 when the budget was spent, 130 when it was interrupted."""
    from danlu.training.joining import joined
    from danlu.training.locking import held

    _require_sense(options)
    for name, default in OF_NEW_RUNS.items():
        setattr(options, name, default if (given := getattr(options, name)) is None else given)
    with joined(options.device) as processes, held(_old(options) if processes.rank == 0 else None):
        return _train(options, processes)


def _old(options: argparse.Namespace) -> Path | None:
    """The folder that is gone on with, which nobody else may change meanwhile."""
    folder = Path(options.resume or "")
    return folder if options.resume and folder.is_dir() else None


def _train(options: argparse.Namespace, processes: "Processes") -> int:
    from danlu.cli.display import display_for
    from danlu.runs.machine import device_line
    from danlu.runs.tracking import require_tracker
    from danlu.runs.train import Surroundings, train
    from danlu.training.recomputing import memory_from

    leads = processes.rank == 0
    console = console_for(options.json, Lasting) if leads else silent()
    memory = memory_from(options.memory) if options.memory else None
    if options.track:
        require_tracker(options.track)  # before a folder is made
    _require_kernels(options)
    say(console, device_line(options.device))
    classes = classes_for(options.foreign or options.family)
    with processes.leader_first():
        made, source, fresh = _begun(options, leads) or _begin(options, classes)
    with display_for(console) as display:
        for line in source.notices:
            display.say(line)
        display.say(f"{made.config.family} on {source.name}, into {made.folder}")
        around = Surroundings(
            policy=_policy(options, made, source) if leads and not options.resume else None,
            observer=display,
            fresh=fresh,
            replay=Path(options.replay) if options.replay else None,
            classes=classes,
            processes=processes,
            memory=memory,
            track=options.track,
        )
        outcome = train(made, source, around)
    if options.json and leads:
        write_json({"run": str(made.folder), **asdict(outcome)})
    if outcome.interrupted:
        again = f"danlu train --resume {made.folder}"
        say(console, f"stopped; step {outcome.steps:,} is saved. To go on: {again}")
    elif not options.json:
        say(console, f"draw from it: danlu sample {made.folder} --n 64")
    return INTERRUPTED if outcome.interrupted else 0


def _require_sense(options: argparse.Namespace) -> None:
    """Refuse a mixture of a new run and an old one."""
    old = options.resume or options.replay
    if options.files and (options.data or old):
        raise UsageError("Give the data once: as an argument, or after --data; a run has its own.")
    options.data = options.data or (options.files or [None])[0]
    if old and options.family:
        raise UsageError("--resume and --replay take family and data from the run; leave them out.")
    if not old and options.data is None:
        raise UsageError("Give a family and data, as in `danlu train vae digits --minutes 2`.")
    if options.resume and (options.settings or options.out):
        raise UsageError("--resume goes on as the run began: --set and --out are for new runs.")
    if options.replay and (options.settings or options.minutes or options.steps):
        raise UsageError("--replay repeats a run as it was: leave out --set, --minutes, --steps.")
    given = [f"--{name}" for name in OF_NEW_RUNS if getattr(options, name) is not None]
    if old and given:
        kept = "--resume" if options.resume else "--replay"
        raise UsageError(f"{kept} keeps what the run has recorded: leave out {', '.join(given)}.")


def _require_kernels(options: argparse.Namespace) -> None:
    """Build the kernels that are asked for, before a folder is made."""
    from danlu.layers.kernels import compiled
    from danlu.runs.config import asked_of_policy
    from danlu.runs.settings import Settings

    if asked_of_policy(Settings(options.settings)).get("kernels"):
        with compiled():
            pass


def _folder(options: argparse.Namespace) -> Path:
    """Where the run lives."""
    from danlu.runs.train import default_folder

    if options.resume or options.out:
        return Path(options.resume or options.out)
    if options.replay:
        return Path(f"{Path(options.replay)}-replay")
    return default_folder(options.family, options.data)


def _begun(options: argparse.Namespace, leads: bool) -> "Beginning | None":
    """The run that the leader has made just now, or that was made before a crash; else None."""
    from danlu.runs.folders import CONFIG, open_run
    from danlu.runs.train import open_data
    from danlu.training.joining import restarts

    made = (_folder(options) / CONFIG).exists()
    if leads and not (restarts() and made):
        return None
    found, budget = open_run(_folder(options)), _budget(options)
    if leads and budget is not None:
        found = found.extended(budget)  # a crash may have come before it was recorded
    return found, open_data(found.config.data), None


def _begin(options: argparse.Namespace, classes: dict | None) -> "Beginning":
    if options.resume:
        return _resumed(options)
    return _repeated(options) if options.replay else _new(options, classes)


def _new(options: argparse.Namespace, classes: dict | None) -> "Beginning":
    from danlu.data import SOURCES
    from danlu.runs.config import resolve_and_build
    from danlu.runs.families import builder_of, learns_text
    from danlu.runs.folders import CONFIG, create, require_new
    from danlu.runs.settings import Settings
    from danlu.runs.train import choose_data, choose_text, open_data
    from danlu.training.joining import world_size

    builder_of(options.family, classes)  # a misspelt family is told before any data is read
    settings = Settings(options.settings)
    folder = _folder(options)
    begun = world_size() > 1 and (folder / CONFIG).exists()
    if not begun:
        require_new(folder)
    if learns_text(options.family) and options.data not in SOURCES:
        choice = choose_text(options.files or [options.data], settings, size=options.size)
    elif options.files and len(options.files) > 1:
        raise UsageError("Several files are for lm and mlm; others take one set or folder.")
    else:
        choice = choose_data(options.data, size=options.size, label=options.label)
    source = open_data(choice)
    config, fresh = resolve_and_build(
        options.family,
        source,
        choice,
        _budget(options) or _default_budget(),
        settings=settings,
        seed=options.seed,
        classes=classes,
    )
    return (_same(folder, config) if begun else create(folder, config)), source, fresh


def _same(folder: Path, config: "RunConfig") -> "Run":
    """The run that the same command began before `torchrun` started its processes again."""
    from danlu.runs.folders import open_run, require_new
    from danlu.runs.train import require_unfinished

    found = open_run(folder)
    if found.config.to_dict() != config.to_dict():
        require_new(folder)
    require_unfinished(found)
    return found


def _resumed(options: argparse.Namespace) -> "Beginning":
    from danlu.runs.folders import open_run
    from danlu.runs.train import longer, open_data, require_unfinished

    found = open_run(options.resume)
    budget = _budget(options)
    if budget is None:
        require_unfinished(found)
    else:
        found = longer(found, budget)
    return found, open_data(found.config.data), None


def _repeated(options: argparse.Namespace) -> "Beginning":
    from danlu.data.fingerprints import fingerprint
    from danlu.runs.folders import create, open_run
    from danlu.runs.train import open_data, require_same_data

    found = open_run(options.replay)
    source = open_data(found.config.data)
    require_same_data(found, source)
    config = replace(found.config, splits=found.config.splits or fingerprint(source))
    return create(_folder(options), config), source, None


def _budget(options: argparse.Namespace) -> "Budget | None":
    from danlu.training import Budget

    if options.minutes is None and options.steps is None:
        return None
    return Budget(minutes=options.minutes, steps=options.steps)


def _default_budget() -> "Budget":
    from danlu.training import Budget

    return Budget(minutes=MINUTES)


def _policy(options: argparse.Namespace, run: "Run", source: "Source") -> "Policy":
    from danlu.runs.config import asked_of_policy
    from danlu.runs.settings import Settings
    from danlu.training import Policy

    if options.replay:
        return Policy.recorded(Path(options.replay))
    asked = asked_of_policy(Settings(options.settings))
    policy = replace(Policy.choose(options.device, source.description), **asked)
    return policy if run.config.budget.minutes is None else policy.by_the_clock()
