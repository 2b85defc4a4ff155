"""Measure the identities behind the models on this machine, each against an oracle."""

import argparse
from time import perf_counter
from typing import Any

from danlu.cli.console import console_for, duration, say, write_json
from danlu.cli.foreign import classes_for
from danlu.cli.parser import Parser, add_json

HELP = "measure the identities behind the models"
EXAMPLES = (
    "danlu check",
    "danlu check diffusion",
    "danlu check vae",
    "danlu check my_module:MyModel",
    "danlu check --mixer my_module:MyMixer",
    "danlu check --solver my_module:MySolver",
)

MANY = 200
"""Laws from which on starting processes pays."""


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "method", nargs="?", help="a room, a method, or your own module:Class (default: all)"
    )
    parser.add_argument(
        "--mixer",
        metavar="PACKAGE.MODULE:CLASS",
        help="the laws of sequence layers on a token mixer of your own",
    )
    parser.add_argument(
        "--solver",
        metavar="PACKAGE.MODULE:CLASS",
        help="the laws of diffusion solvers on one of your own, without a network",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Measure and print; 1 when a law does not hold."""
    from danlu.experiments.checks import measured, measured_together
    from danlu.experiments.machine import device_line

    console = console_for(options.json)
    say(console, device_line("cpu"))
    rows = _chosen(options)
    width = max(len(law.name) for law in rows)
    found, began = [], perf_counter()
    for checked in measured_together(rows) if len(rows) >= MANY else measured(rows):
        found.append(checked)
        mark = "ok  " if checked.holds else "FAIL"
        law = checked.law
        line = f"{mark} {law.name:<{width}}  {checked.error:9.2e} ≤ {law.tolerance:.0e}"
        say(console, f"{line}  {law.statement}", "" if checked.holds else "bold red")
        if checked.example:
            say(console, f"     smallest failing example: {checked.example}")
    failed = [checked.law.name for checked in found if not checked.holds]
    seconds = perf_counter() - began
    if options.json:
        write_json({"laws": [_facts(checked) for checked in found], "failed": failed})
    held = f"{len(found) - len(failed)} of {len(found)} laws hold"
    say(console, f"{held}, measured in {duration(seconds)}")
    return 1 if failed else 0


def _chosen(options: argparse.Namespace) -> list[Any]:
    """The laws that the arguments ask for."""
    from danlu.contracts import DanluError
    from danlu.experiments.checks import chosen, chosen_mixer, chosen_solver

    parts = {"mixer": chosen_mixer, "solver": chosen_solver}
    asked = [part for part in parts if getattr(options, part) is not None]
    if not asked:
        classes = classes_for(options.method)
        return chosen(classes[options.method] if classes else options.method)
    name = getattr(options, asked[0])
    found = classes_for(name)
    if found is None or options.method is not None or len(asked) > 1:
        raise DanluError(f"--{asked[0]} takes package.module:Class and no other target beside it.")
    return parts[asked[0]](found[name])


def _facts(checked) -> dict[str, object]:  # noqa: ANN001
    return {
        "name": checked.law.name,
        "statement": checked.law.statement,
        "error": checked.error,
        "tolerance": checked.law.tolerance,
        "holds": checked.holds,
        "seconds": checked.seconds,
        "example": checked.example,
    }
