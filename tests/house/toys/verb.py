"""Print how many methods every table has."""

import argparse

from danlu.cli.console import console_for, say
from danlu.cli.parser import Parser

HELP = "count the methods of every table"
EXAMPLES = ("danlu toy-count",)


def arguments(parser: Parser) -> None:
    """The verb's arguments."""


def run(options: argparse.Namespace) -> int:
    """Print a line for each table."""
    from danlu.catalogue.listing import TABLES

    for name, room in TABLES.items():
        say(console_for(False), f"{name}: {len(room.table)}")
    return 0
