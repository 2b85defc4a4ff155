"""List what there is: families, data, metrics, and every other table."""

import argparse
from typing import Any

from danlu.cli.console import console_for, write_json
from danlu.cli.parser import Parser, add_json

HELP = "list families, data, metrics and all other tables"
EXAMPLES = ("danlu list", "danlu list families", "danlu list data --json")


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    parser.add_argument("table", nargs="?", help="a table, such as families, data or metrics")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print one table, or all."""
    from rich.table import Table

    from danlu.catalogue.listing import TABLES, first_line, table
    from danlu.cli.benchmarks import benchmarks, offered

    names = [options.table] if options.table else [*TABLES]
    found: dict[str, dict[str, Any]] = {
        name: {key: first_line(method) for key, method in table(name).table.items()}
        for name in names
        if name != "benchmarks"
    }
    if options.table in (None, "benchmarks"):
        found["benchmarks"] = {
            name: (run.__doc__ or "").partition("\n")[0]
            for name, run in (benchmarks() if options.table else offered()).items()
        }
    if options.json:
        write_json(found)
        return 0
    console = console_for(False)
    for name, rows in found.items():
        grid = Table(box=None, show_header=False, pad_edge=False, title=name, title_justify="left")
        grid.add_column(no_wrap=True, style="bold")
        grid.add_column()
        for key, line in rows.items():
            grid.add_row(key, line or "")
        console.print(grid, "")
    return 0
