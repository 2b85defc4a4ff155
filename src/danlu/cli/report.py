"""Write the report of a race or a run again, or a page that compares two of them."""

import argparse
from pathlib import Path

from danlu.cli.console import console_for, say, write_json
from danlu.cli.parser import Parser, add_json

HELP = "write the report of a race or a run again, or compare two"
EXAMPLES = (
    "danlu report runs/race",
    "danlu report runs/photos --no-neighbours",
    "danlu report runs/race runs/race-2 --out runs/comparison.html",
)


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    parser.add_argument("folder", metavar="RUN_OR_RACE", help="a folder with results.json")
    parser.add_argument("other", nargs="?", metavar="OTHER", help="one to compare it with")
    parser.add_argument(
        "--out", metavar="PAGE.HTML", help="the comparison (default OTHER/comparison.html)"
    )
    parser.add_argument(
        "--no-neighbours", action="store_true", help="leave training images out of the page"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Read the results and write the page."""
    from danlu.contracts import DanluError
    from danlu.evaluation.report import write_report
    from danlu.evaluation.report.versus import NAME, write_comparison
    from danlu.races.comparing import changes, open_side
    from danlu.runs.folders import require_unused

    neighbours = not options.no_neighbours
    side = open_side(Path(options.folder))
    if options.other is None:
        if options.out:
            raise DanluError("--out is for the comparison of two; a report goes to its own folder.")
        page = write_report(side.results, side.folder, neighbours=neighbours)
    else:
        other = open_side(Path(options.other))
        path = Path(options.out) if options.out else other.folder / NAME
        if options.out:
            require_unused(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        page = write_comparison(side, other, changes(side, other), path, neighbours=neighbours)
    if options.json:
        write_json({"report": str(page)})
    else:
        say(console_for(False), str(page))
    return 0
