"""Measure the identities behind the models on this machine, each against an oracle."""

import argparse

from danlu.cli.console import console_for, duration, say, write_json
from danlu.cli.foreign import classes_for
from danlu.cli.parser import Parser, add_json

HELP = "measure the identities behind the models"
EXAMPLES = (
    "danlu check",
    "danlu check diffusion",
    "danlu check vae",
    "danlu check my_module:MyModel",
)


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "method", nargs="?", help="a room, a method, or your own module:Class (default: all)"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Measure and print; 1 when a law does not hold."""
    from danlu.experiments.checks import chosen, measured
    from danlu.experiments.machine import device_line

    console = console_for(options.json)
    say(console, device_line("cpu"))
    classes = classes_for(options.method)
    rows = chosen(classes[options.method] if classes else options.method)
    width = max(len(law.name) for law in rows)
    found = []
    for checked in measured(rows):
        found.append(checked)
        mark = "ok  " if checked.holds else "FAIL"
        law = checked.law
        line = f"{mark} {law.name:<{width}}  {checked.error:9.2e} ≤ {law.tolerance:.0e}"
        say(console, f"{line}  {law.statement}", "" if checked.holds else "bold red")
    failed = [checked.law.name for checked in found if not checked.holds]
    seconds = sum(checked.seconds for checked in found)
    if options.json:
        write_json({"laws": [_facts(checked) for checked in found], "failed": failed})
    held = f"{len(found) - len(failed)} of {len(found)} laws hold"
    say(console, f"{held}, measured in {duration(seconds)}")
    return 1 if failed else 0


def _facts(checked) -> dict[str, object]:  # noqa: ANN001
    return {
        "name": checked.law.name,
        "statement": checked.law.statement,
        "error": checked.error,
        "tolerance": checked.law.tolerance,
        "holds": checked.holds,
        "seconds": checked.seconds,
    }
