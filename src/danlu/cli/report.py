"""Write the report of a race or an evaluation again, from its results."""

import argparse
from pathlib import Path

from danlu.cli.console import console_for, say, write_json
from danlu.cli.parser import Parser, add_json

HELP = "write the report of a race or a run again"
EXAMPLES = ("danlu report runs/race", "danlu report runs/photos --no-neighbours")


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    parser.add_argument("folder", metavar="RUN_OR_RACE", help="a folder with results.json")
    parser.add_argument(
        "--no-neighbours", action="store_true", help="leave training images out of the page"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Read the results and write the page."""
    from danlu.contracts import DanluError
    from danlu.evaluation.report import write_report
    from danlu.evaluation.results import Results

    folder = Path(options.folder)
    path = folder / "results.json"
    if not path.exists():
        raise DanluError(f"{folder} has no results.json; {_who_writes_one(folder)}")
    page = write_report(Results.load(path), folder, neighbours=not options.no_neighbours)
    if options.json:
        write_json({"report": str(page)})
    else:
        say(console_for(False), str(page))
    return 0


def _who_writes_one(folder: Path) -> str:
    if (folder / "config.yaml").exists():
        return f"`danlu eval {folder}` writes one."
    runs = sorted(path.parent for path in folder.glob("*/config.yaml"))
    if runs:
        return f"the race did not finish. Measure its runs one by one: `danlu eval {runs[0]}`."
    return "`danlu race` and `danlu eval RUN` write one."
