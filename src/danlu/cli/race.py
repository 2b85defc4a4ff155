"""Train several families on the same data within one budget, and say which one to use."""

import argparse
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from danlu.cli.console import Lasting, console_for, say, write_json
from danlu.cli.foreign import classes_for
from danlu.cli.parser import Parser, UsageError, add_budget, add_common, add_data, add_track, whole

if TYPE_CHECKING:
    from danlu.evaluation.results import Results
    from danlu.races.request import RaceRequest

HELP = "train several families on the same data and budget, and compare them"
EXAMPLES = (
    "danlu race digits --minutes 3",
    "danlu race path/to/photos --size 32 --minutes 30 --out runs/photos",
    "danlu race two-moons --families vae,rectified-flow --minutes 2 --seeds 0,1,2",
    "danlu race digits --examples 100000 --parameters 200000",
    "danlu race digits --minutes 5 --set rectified-flow.model.width=48",
    "danlu race --resume runs/race-digits",
)
MINUTES = 4.0
RACERS = "vae,gan,flow,vq,ddpm,rectified-flow"
VALUES = ("families", "seeds", "parameters", "features", "size", "track", "out")
"""Arguments with a value that is absent unless it was given."""


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    parser.add_argument("data", nargs="?", help="a named set, a folder of images, .npz or IDX")
    add_budget(
        parser,
        minutes=f"for everything, the report included, for each seed (default {MINUTES:g})",
        examples="in place of minutes: training examples that each model sees",
    )
    parser.add_argument(
        "--parameters",
        type=whole,
        metavar="P",
        help="choose widths: all models have about P",
    )
    parser.add_argument("--families", metavar="A,B", help=f"who races (default {RACERS})")
    parser.add_argument(
        "--seeds", type=_seeds, metavar="A,B", help="a race for each; tables have mean and error"
    )
    parser.add_argument("--features", metavar="NET.ONNX", help="a further feature network, as ONNX")
    parser.add_argument(
        "--no-neighbours", action="store_true", help="leave training images out of the report"
    )
    parser.add_argument("--resume", metavar="RACE", help="go on with an interrupted race")
    add_data(parser)
    add_track(parser)
    add_common(parser, out="the race's folder (default runs/race-DATA)")


def run(options: argparse.Namespace) -> int:
    """Race; 0 when every model was measured, 1 when one failed."""
    began = monotonic()  # what follows imports torch, which the budget pays for too
    _require_sense(options)
    from danlu.cli.display import display_for
    from danlu.evaluation.verdict import judge
    from danlu.races.race import race
    from danlu.runs.machine import chosen_device, device_line

    console = console_for(options.json, Lasting)
    request = _resumed(options) if options.resume else _request(options)
    say(console, device_line(request.device))
    with display_for(console, table=True) as display:
        request = replace(request, device=chosen_device(request.device), spent=monotonic() - began)
        results = race(request, display, resume=options.resume is not None)
    verdict = judge(results)
    if options.json:
        write_json(asdict(results))
    else:
        for line in (verdict.sentence, *verdict.reasons):
            say(console, line)
        say(console, f"report: {request.folder / 'report.html'}")
    return 1 if _some_failed(results) else 0


def _some_failed(results: "Results") -> bool:
    from danlu.evaluation.results import RowKind

    models = [row for row in results.rows if row.kind is RowKind.MODEL]
    return any(row.failure or row.seeds < results.seeds for row in models)


def _seeds(text: str) -> tuple[int, ...]:
    return tuple(whole(part) for part in text.split(","))


_seeds.__name__ = "list of whole numbers"  # argparse names it where the text is none


def _require_sense(options: argparse.Namespace) -> None:
    """Refuse a mixture of a new race and an old one."""
    if not options.resume:
        if options.data is None:
            raise UsageError("Give data, as in `danlu race digits --minutes 3`.")
        if options.seeds and options.seed:
            raise UsageError("--seeds names every seed; leave out --seed.")
        return
    given = [name for name in ("minutes", "examples", *VALUES) if getattr(options, name)]
    given = [f"--{name}" for name in given if name not in ("families", "features")]
    given += ["the data"] if options.data else []
    given += ["--set"] if options.settings else []
    if given:
        raise UsageError(f"--resume goes on as the race began: leave out {', '.join(given)}.")


def _families(options: argparse.Namespace) -> tuple[str, ...]:
    from danlu.races.request import FAMILIES

    chosen = options.families.split(",") if options.families else FAMILIES
    return tuple(family.strip() for family in chosen)


def _classes(families: tuple[str, ...]) -> dict:
    classes: dict = {}
    for family in families:
        classes |= classes_for(family) or {}
    return classes


def _resumed(options: argparse.Namespace) -> "RaceRequest":
    """The request of the race, with families of one's own only where they are typed again."""
    from danlu.races.resuming import resumable

    typed = _families(options) if options.families else ()
    features = Path(options.features) if options.features else None
    request = resumable(Path(options.resume), _classes(typed), features)
    if typed and set(typed) != set(request.families):
        raise UsageError(f"The families of this race are {','.join(request.families)}.")
    return request


def _request(options: argparse.Namespace) -> "RaceRequest":
    from danlu.races.request import RaceRequest
    from danlu.runs.train import choose_data, default_folder

    families = _families(options)
    minutes = options.minutes if options.minutes or options.examples else MINUTES
    return RaceRequest(
        data=choose_data(options.data, size=options.size, label=options.label),
        minutes=minutes,
        examples=options.examples,
        parameters=options.parameters,
        folder=Path(options.out) if options.out else default_folder("race", options.data),
        families=families,
        seeds=options.seeds or (options.seed,),
        settings=tuple(options.settings),
        device=options.device,
        features=Path(options.features) if options.features else None,
        neighbours=not options.no_neighbours,
        classes=_classes(families),
        command=_command(options),
        track=options.track,
    )


def _command(options: argparse.Namespace) -> str:
    """The command as it may be typed again."""
    words = ["danlu", "race", options.data]
    if options.examples:
        words += ["--examples", str(options.examples)]
    else:
        words += ["--minutes", f"{options.minutes or MINUTES:g}"]
    for flag in VALUES:
        value = getattr(options, flag)
        if value is not None:
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [f"--{flag}", shown]
    words += ["--label", options.label] if options.label != "none" else []
    words += ["--seed", str(options.seed)] if options.seed else []
    for setting in options.settings:
        words += ["--set", setting]
    words += ["--no-neighbours"] if options.no_neighbours else []
    return shlex.join(words)
