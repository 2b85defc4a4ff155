"""Two finished races or runs, opened to be compared: their results and what they were asked for."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from danlu.contracts import DanluError
from danlu.evaluation.report.versus import Change, Side
from danlu.evaluation.results import Results
from danlu.runs.folders import CONFIG, RACE, RESULTS
from danlu.training.records import yaml_of

OF_RESULTS = ("command", "version", "seed", "seeds", "budget", "examples")
OF_MACHINE = ("device", "processor", "cores", "torch", "python")
ABSENT = "–"


def open_side(folder: Path) -> Side:
    """A finished race, or a run that was evaluated.

    Raises:
        DanluError: there are no results, with how to make them.
    """
    path = folder / RESULTS
    if not path.exists():
        raise DanluError(f"{folder} has no {RESULTS}; {who_writes_one(folder)}")
    return Side(str(folder), folder, Results.load(path))


def changes(a: Side, b: Side) -> list[Change]:
    """Settings that differ, of the whole, of the machine and of every run."""
    first, second = (dict(_settings(side)) for side in (a, b))
    names = dict.fromkeys([*first, *second])
    return [
        (name, first.get(name, ABSENT), second.get(name, ABSENT))
        for name in names
        if first.get(name, ABSENT) != second.get(name, ABSENT)
    ]


def who_writes_one(folder: Path) -> str:
    """Which command writes the results that a folder lacks."""
    if (folder / CONFIG).exists():
        return f"`danlu eval {folder}` writes one."
    if (folder / RACE).exists():
        return f"the race did not finish: `danlu race --resume {folder}`."
    runs = sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))
    if runs:
        return f"measure its runs one by one: `danlu eval {runs[0]}`."
    return "`danlu race` and `danlu eval RUN` write one."


def _settings(side: Side) -> Iterator[tuple[str, str]]:
    results = side.results
    for name in OF_RESULTS:
        yield name, str(getattr(results, name))
    for name in OF_MACHINE:
        yield f"machine {name}", str(results.machine.get(name, ABSENT))
    own = side.folder / CONFIG
    configs = [own] if own.exists() else sorted(side.folder.glob(f"*/{CONFIG}"))
    for path in configs:
        raw = yaml_of(path)
        prefix = "" if path == own else f"{path.parent.name}: "
        for name, value in _flat(raw if isinstance(raw, Mapping) else {}):
            yield f"{prefix}{name}", value


def _flat(raw: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in raw.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(value)
