"""Faults put into the formulas on purpose, and which laws see them: `make mutants`.

A sign, a factor, an off-by-one, a constant, a function or a comparison of a method file is changed
in memory, one at a time, and the laws that run the line are measured until one fails. The tests and
the peer packages take no part. A general tool does not do this: mutmut leaves constants, defaults
and decorated functions alone, and cosmic-ray rewrites files and starts a process for each mutant,
which with torch takes longer than the laws.
"""

import argparse
import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import yaml
from running import SOURCE, Baseline, Tested, measure_baseline, preload, test_mutants
from sites import Mutant, mutants_of, replaced

ROOMS = {
    "conditioning": ("conditioning/*.py",),
    "diffusion": ("generative/diffusion/**/*.py",),
    "embeddings": ("embeddings/*.py",),
    "evaluation": ("evaluation/*/*.py", "evaluation/corruptions.py"),
    "generative": ("generative/**/*.py",),
    "layers": ("layers/**/*.py",),
    "losses": ("losses/**/*.py",),
    "mixers": ("mixers/**/*.py",),
    "optim": ("optim/*.py",),
    "positions": ("positions/*.py",),
    "solvers": ("solvers/*.py",),
}
"""The files of each room; one that two rooms name belongs to the first."""

NO_METHODS = {
    "*/__init__.py": "tables",
    "evaluation/report/*": "pages of HTML",
    "evaluation/features/cache.py": "files",
    "evaluation/features/exported.py": "files",
    "*/exporting.py": "files",
    "generative/recipe.py": "settings of runs",
    "generative/diffusion/recipes.py": "settings of runs",
    "generative/tiny.py": "the data of the instances that laws build",
    "layers/kernels/*": "C++ kernels, which need a compiler: tests/layers/test_kernels.py",
    "generative/decoding.py": "descriptions of exported functions",
    "embeddings/saving.py": "files",
    "embeddings/word2vec_files.py": "files",
}

LISTED = Path(__file__).with_name("equivalent.yaml")
UNREACHED = Path(__file__).with_name("unreached.yaml")
ONCE_ALIVE = Path(__file__).with_name("once_alive.yaml")


def main() -> int:
    """Put mutants in, print what became of them; 1 when too few were caught."""
    options = _options()
    began = perf_counter()
    rooms = options.room or sorted(ROOMS)
    mutants = [mutant for room in rooms for mutant in _chosen(room, options)]
    mutants = _survivors(options.again) if options.again else mutants
    mutants = _reached(mutants) + (_once_alive() if options.once_alive else [])
    print(f"{len(mutants)} mutants of {len({m.file for m in mutants})} files", flush=True)
    preload()
    baseline = measure_baseline(options.jobs, options.baseline)
    print(f"{len(baseline.seconds)} laws measured in {perf_counter() - began:.0f} s", flush=True)
    for name in baseline.failing:
        print(f"left out, since it fails without a mutant: {name}")
    listed = _listed(options.list)
    rows = []
    for mutant, tested in test_mutants(mutants, baseline, options.jobs):
        if tested.end == "lost":
            sys.exit(f"The source went away during the run, so nothing is known: {tested.law}.")
        rows.append((mutant, tested))
        if options.verbose or tested.end in {"survived", "timeout", "import"}:
            _say(len(rows), mutant, tested, listed)
    return _summary(rows, listed, baseline, options, perf_counter() - began)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--room", action="append", choices=sorted(ROOMS), help="default: all")
    parser.add_argument("--n", type=int, default=35, help="mutants a room, at least one a file")
    parser.add_argument("--total", type=int, help="mutants in all, whatever the number of files")
    parser.add_argument("--again", type=Path, help="only the survivors of an earlier --json")
    parser.add_argument("--once-alive", action="store_true", help="also those of once_alive.yaml")
    parser.add_argument("--file", default="", help="only files whose path contains this")
    parser.add_argument("--seed", type=int, default=0, help="which mutants are drawn")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--at-least", type=float, default=0.97, help="share that must be caught")
    parser.add_argument("--list", type=Path, default=LISTED, help="equivalent mutants")
    parser.add_argument("--json", type=Path, help="where the results go as JSON")
    parser.add_argument("--baseline", type=Path, help="where the laws' lines are kept between runs")
    parser.add_argument("--verbose", action="store_true", help="a line for every mutant")
    return parser.parse_args()


def _survivors(path: Path) -> list[Mutant]:
    """What survived before, found again by its text."""
    rows = json.loads(path.read_text())["mutants"]
    keys = {
        (row["file"], row["scope"], row["before"], row["after"])
        for row in rows
        if row["end"] == "survived"
    }
    files = sorted({file for file, *_ in keys})
    found = [m for file in files for m in mutants_of(file, (SOURCE / file).read_text())]
    return [mutant for mutant in found if mutant.key in keys]


def _reached(mutants: list[Mutant]) -> list[Mutant]:
    """Those that a law could run; how many others were drawn is said."""
    rows, reached = yaml.safe_load(UNREACHED.read_text()), []
    reasons = {(row["file"], row["scope"]): row["reason"] for row in rows}
    for mutant in mutants:
        why = reasons.get((mutant.file, mutant.scope.partition(".")[0]))
        if why is None:
            reached.append(mutant)
        else:
            print(f"left out: {mutant.file}:{mutant.first} {mutant.scope}: {why}")
    return reached


def _once_alive() -> list[Mutant]:
    rows = yaml.safe_load(ONCE_ALIVE.read_text())
    return [replaced(source=(SOURCE / row["file"]).read_text(), **row) for row in rows]


def files_of(room: str) -> list[Path]:
    """The method files of a room."""
    found: dict[Path, str] = {}
    for name, patterns in ROOMS.items():
        for pattern in patterns:
            for path in sorted(SOURCE.glob(pattern)):
                found.setdefault(path, name)
    return [
        path
        for path, name in found.items()
        if name == room and not any(path.match(pattern) for pattern in NO_METHODS)
    ]


def _chosen(room: str, options: argparse.Namespace) -> list[Mutant]:
    """Mutants of a room: one of each file, then others until there are enough."""
    draw = random.Random(f"{options.seed} {room}")
    queues = []
    for path in files_of(room):
        if options.file in str(path):
            file = str(path.relative_to(SOURCE))
            queues.append(_mixed(mutants_of(file, path.read_text()), draw))
    first = [queue[0] for queue in queues if queue]
    rest = [mutant for queue in queues for mutant in queue[1:]]
    # A long file has more of the rest, but what comes first in its queue comes first here too.
    others = draw.sample(rest, max(0, min(len(rest), options.n - len(first))))
    chosen = [*first, *others]
    if options.total is None:
        return chosen
    share = -(-options.total // len(options.room or ROOMS))
    return draw.sample(chosen, min(share, len(chosen)))


def _mixed(mutants: list[Mutant], draw: random.Random) -> list[Mutant]:
    """A random order in which the kinds take turns, so that integers do not crowd out signs."""
    kinds: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in draw.sample(mutants, len(mutants)):
        kinds[mutant.kind].append(mutant)
    order = draw.sample(sorted(kinds), len(kinds))
    most = max(map(len, kinds.values()), default=0)
    return [kinds[kind][i] for i in range(most) for kind in order if i < len(kinds[kind])]


def _listed(path: Path) -> dict[tuple[str, str, str, str], str]:
    """Mutants that change nothing that anybody could see, with the reason."""
    return {
        (row["file"], row.get("scope", ""), row["before"], row["after"]): row["reason"]
        for row in yaml.safe_load(path.read_text()) or []
    }


def _say(count: int, mutant: Mutant, tested: Tested, listed: dict) -> None:
    end = "equivalent" if tested.end == "survived" and mutant.key in listed else tested.end
    by = f" by {tested.law} after {tested.laws}" if tested.law else f" {tested.laws} laws"
    print(f"{count:4} {end}{by}, {tested.seconds:.0f} s: {mutant.file}:{mutant.first}", end=" ")
    print(
        f"{mutant.scope} [{mutant.kind}]\n       {mutant.before}\n     → {mutant.after}", flush=True
    )


def _summary(
    rows: list[tuple[Mutant, Tested]],
    listed: dict,
    baseline: Baseline,
    options: argparse.Namespace,
    seconds: float,
) -> int:
    ends = [_end(mutant, tested, listed) for mutant, tested in rows]
    tables = {
        "room": [_room(mutant) for mutant, _ in rows],
        "kind": [mutant.kind for mutant, _ in rows],
    }
    for name, groups in tables.items():
        _table(name, groups, ends)
    counts = Counter(ends)
    counted = len(rows) - counts["equivalent"]
    caught = counted - counts["survived"]
    share = caught / max(counted, 1)
    print(
        f"{caught} of {counted} mutants caught, {100 * share:.1f} %, beside {counts['equivalent']} "
        f"listed as equivalent; {seconds / 60:.0f} minutes"
    )
    if options.json:
        facts = [
            {**asdict(mutant), **asdict(tested), "end": end, "reason": listed.get(mutant.key, "")}
            for (mutant, tested), end in zip(rows, ends, strict=True)
        ]
        whole = {"seconds": seconds, "left_out": baseline.failing, "mutants": facts}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(whole, indent=1, ensure_ascii=False))
    return 0 if rows and share >= options.at_least else 1


def _end(mutant: Mutant, tested: Tested, listed: dict) -> str:
    return "equivalent" if tested.end == "survived" and mutant.key in listed else tested.end


def _room(mutant: Mutant) -> str:
    return next((room for room in ROOMS if SOURCE / mutant.file in files_of(room)), "other")


def _table(name: str, groups: Iterable[str], ends: list[str]) -> None:
    columns = ["failed", "broken", "import", "timeout", "survived", "equivalent"]
    print(f"\n{name:<12}" + "".join(f"{column:>12}" for column in columns))
    cells = Counter(zip(groups, ends, strict=True))
    for group in sorted({group for group, _ in cells}):
        print(f"{group:<12}" + "".join(f"{cells[group, column]:>12}" for column in columns))
    print()


if __name__ == "__main__":
    sys.exit(main())
