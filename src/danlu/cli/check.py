"""Measure the identities behind the models on this machine, each against an oracle."""

import argparse
from collections import Counter
from time import perf_counter
from typing import Any

from danlu.cli.console import console_for, duration, say, write_json
from danlu.cli.foreign import classes_for
from danlu.cli.parser import Parser, UsageError, add_json

HELP = "measure the identities behind the models"
EXAMPLES = (
    "danlu check",
    "danlu check diffusion",
    "danlu check vae",
    "danlu check --all --seeds 20",
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
    parser.add_argument(
        "--seeds",
        metavar="N",
        type=int,
        default=1,
        help="measure each law with N sets of random draws and show its worst (default 1)",
    )
    parser.add_argument("--all", action="store_true", help="the slow laws too")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Measure and print; 1 when a law does not hold."""
    from danlu.laws import laws, measured, measured_together
    from danlu.runs.machine import device_line

    if options.seeds < 1:
        raise UsageError(f"--seeds needs 1 or more, got {options.seeds}.")
    console = console_for(options.json)
    say(console, device_line("cpu"))
    asked = _chosen(options)
    rows = asked if options.all else [law for law in asked if not law.slow]
    width = max(len(law.name) for law in rows)
    found, began = [], perf_counter()
    many = len(rows) * options.seeds >= MANY and {*map(id, rows)} <= {*map(id, laws())}
    for checked in (measured_together if many else measured)(rows, options.seeds):
        found.append(checked)
        mark = "ok  " if checked.holds else "FAIL"
        law = checked.law
        line = f"{mark} {law.name:<{width}}  {checked.error:9.2e} ≤ {law.tolerance:.0e}"
        line = f"{line}  {law.statement} [{law.oracle}]"
        say(console, line, "" if checked.holds else "bold red")
        if checked.example:
            say(console, f"     smallest failing example: {checked.example}")
    failed = [checked.law.name for checked in found if not checked.holds]
    counts = Counter(law.oracle for law in rows)
    if options.json:
        facts = [_facts(checked) for checked in found]
        write_json({"laws": facts, "failed": failed, "oracles": dict(counts.most_common())})
    listed = ", ".join(f"{oracle} {count:,}" for oracle, count in counts.most_common())
    say(console, f"against: {listed}")
    if len(rows) < len(asked):
        say(console, f"{len(asked) - len(rows)} slow laws were left out; --all measures them too")
    held = f"{len(found) - len(failed)} of {len(found)} laws hold"
    at = f" at each of {options.seeds} seeds" if options.seeds > 1 else ""
    say(console, f"{held}{at}, measured in {duration(perf_counter() - began)}")
    return 1 if failed else 0


def _chosen(options: argparse.Namespace) -> list[Any]:
    """The laws that the arguments ask for."""
    from danlu.contracts import DanluError
    from danlu.laws import chosen, chosen_mixer, chosen_solver

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
        "oracle": checked.law.oracle,
        "seed": checked.seed,
    }
