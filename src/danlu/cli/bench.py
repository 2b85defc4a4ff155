"""Run a benchmark on this machine."""

import argparse

from danlu.cli.console import console_for, say, write_json
from danlu.cli.parser import Parser, add_json

HELP = "measure what a part of danlu costs on this machine"
EXAMPLES = ("danlu bench loop", "danlu bench amos")


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    parser.add_argument("name", help="see `danlu list benchmarks`")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Run and print; 1 when a benchmark's claim does not hold here."""
    from danlu.cli.benchmarks import benchmarks
    from danlu.contracts import unknown
    from danlu.runs.machine import device_line

    known = benchmarks()
    if options.name not in known:
        raise unknown("benchmark", options.name, known)
    console = console_for(options.json)
    say(console, device_line("cpu"))
    figures = known[options.name](lambda line: say(console, line))
    if options.json:
        write_json(figures)
    return 0 if figures.get("holds", True) else 1
