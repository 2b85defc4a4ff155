"""Write what a run samples with as files that need no danlu, and check them."""

import argparse
from dataclasses import asdict
from pathlib import Path

from danlu.cli.console import Lasting, console_for, say, write_json
from danlu.cli.foreign import classes_for
from danlu.cli.parser import Parser, add_family, add_json

HELP = "write a run's sampling functions as ONNX and torch.export files"
EXAMPLES = (
    "danlu export runs/race/rectified-flow",
    "danlu export runs/race/vae --format onnx --out vae-onnx",
)
FORMATS = ("pt2", "onnx")


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    parser.add_argument("folder", metavar="RUN", help="a run folder")
    parser.add_argument(
        "--format", choices=FORMATS, help="write this one alone (default: both of pt2 and onnx)"
    )
    parser.add_argument("--out", metavar="DIR", help="where to (default RUN/export)")
    add_family(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Export; 1 when something that should be written could not be."""
    from danlu.runs.export import export
    from danlu.runs.folders import open_run, require_unused

    console = console_for(options.json, Lasting)
    found = open_run(options.folder)
    if options.out:
        require_unused(Path(options.out))
    model, _, notices = found.model(classes_for(options.foreign))
    for line in notices:
        say(console, line)
    folder = Path(options.out) if options.out else found.folder / "export"
    formats = (options.format,) if options.format else FORMATS
    done = export(found, model, folder, formats)
    if options.json:
        write_json({**asdict(done), "notices": notices})
        return 1 if done.refused else 0
    for name, error in done.errors.items():
        say(console, f"{folder / name}: differs from the model by {error:.1e} at most")
    for name, reason in {**done.refused, **done.kept}.items():
        say(console, f"not exported: {name}: {reason}")
    say(console, f"how to use them: {folder / 'README.md'}")
    return 1 if done.refused else 0
