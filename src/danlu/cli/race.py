"""Train several families on the same data within one budget, and say which one to use."""

import argparse
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic

from danlu.cli.console import console_for, say, write_json
from danlu.cli.foreign import classes_for
from danlu.cli.parser import Parser, add_budget, add_common, add_data

HELP = "train several families on the same data and budget, and compare them"
EXAMPLES = (
    "danlu race digits --minutes 3",
    "danlu race path/to/photos --size 32 --minutes 30 --out runs/photos",
    "danlu race two-moons --families vae,rectified-flow --minutes 2 --seeds 3",
    "danlu race digits --minutes 5 --set rectified-flow.model.width=48",
)
MINUTES = 4.0


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    parser.add_argument("data", help="a named set, a folder of images, .npz or IDX")
    add_budget(
        parser,
        minutes=f"for everything, the report included (default {MINUTES:g})",
        default=MINUTES,
    )
    parser.add_argument(
        "--families", metavar="A,B", help="who races (default vae,gan,rectified-flow)"
    )
    parser.add_argument("--seeds", type=int, default=1, help="runs of each family (default 1)")
    parser.add_argument(
        "--features", metavar="NET.PT2", help="a further feature network, by torch.export.save"
    )
    parser.add_argument(
        "--no-neighbours", action="store_true", help="leave training images out of the report"
    )
    add_data(parser)
    add_common(parser, out="the race's folder (default runs/race-DATA)")


def run(options: argparse.Namespace) -> int:
    """Race; 0 when at least one model was measured."""
    began = monotonic()  # what follows imports torch, which the budget pays for too
    from danlu.cli.display import display_for
    from danlu.evaluation.results import RowKind
    from danlu.evaluation.verdict import judge
    from danlu.experiments.machine import chosen_device, device_line
    from danlu.experiments.race import Race

    console = console_for(options.json)
    say(console, device_line(options.device))
    request = _request(options, chosen_device(options.device))
    with display_for(console, table=True) as display:
        request = replace(request, spent=monotonic() - began)
        results = Race(request, display).run()
    verdict = judge(results)
    if options.json:
        write_json(asdict(results))
    else:
        for line in (verdict.sentence, *verdict.reasons):
            say(console, line)
        say(console, f"report: {request.folder / 'report.html'}")
    models = [row for row in results.rows if row.kind is RowKind.MODEL]
    return 1 if all(row.failure for row in models) else 0


def _request(options: argparse.Namespace, device: str):  # noqa: ANN202
    from danlu.experiments.entries import FAMILIES, RaceRequest
    from danlu.experiments.train import choose_data, default_folder

    families = options.families.split(",") if options.families else FAMILIES
    classes: dict = {}
    for family in families:
        classes |= classes_for(family) or {}
    return RaceRequest(
        data=choose_data(options.data, size=options.size, label=options.label),
        minutes=options.minutes,
        folder=Path(options.out) if options.out else default_folder("race", options.data),
        families=tuple(family.strip() for family in families),
        seeds=options.seeds,
        seed=options.seed,
        settings=tuple(options.settings),
        device=device,
        features=Path(options.features) if options.features else None,
        neighbours=not options.no_neighbours,
        classes=classes,
        command=_command(options),
    )


def _command(options: argparse.Namespace) -> str:
    """The command as it may be typed again."""
    words = ["danlu", "race", options.data, "--minutes", f"{options.minutes:g}"]
    for flag in ("families", "seeds", "features", "size", "out"):
        value = getattr(options, flag)
        if value not in (None, 1):
            words += [f"--{flag}", str(value)]
    words += ["--label", options.label] if options.label != "none" else []
    words += ["--seed", str(options.seed)] if options.seed else []
    for setting in options.settings:
        words += ["--set", setting]
    words += ["--no-neighbours"] if options.no_neighbours else []
    return shlex.join(words)
