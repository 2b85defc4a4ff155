"""One process that holds every package but danlu, and a fork of it for each mutant.

A fork imports danlu, with one module compiled from its changed tree, in well under a second, and
nothing on the disk changes. Which laws run which line is measured once, before any mutant.
"""

import ast
import importlib
import importlib.util
import json
import os
import resource
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from time import perf_counter
from typing import Any
from zlib import crc32

from sites import Mutant, mutated

SOURCE = Path(__file__).parents[2] / "src" / "danlu"
MEMORY = 12 * 2**30
LONGEST = 10.0
"""Seconds of computing for which one law may run, and ten times what it takes without a mutant."""


@dataclass(frozen=True, slots=True)
class Tested:
    """What became of a mutant.

    Attributes:
        end: failed (a law printed a finite error), broken (a law raised, or its error is infinite),
            import (danlu could not be imported), lost (its files are gone), timeout, or survived.
        law: the law that saw it.
        laws: how many were measured.
        seconds: how long that took.
    """

    end: str
    law: str
    laws: int
    seconds: float


class Baseline:
    """What the laws do without a mutant: how long each takes, whether it holds, what it runs."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.failing: list[str] = []
        self.lines: dict[str, dict[str, list[str]]] = {}
        self.digests: dict[str, int | None] = {}

    def add(self, facts: dict[str, Any]) -> None:
        """Take in what one process measured, or what was kept from another day."""
        self.seconds |= facts["seconds"]
        self.failing += facts["failing"]
        self.digests |= facts["digests"]
        for file, lines in facts["lines"].items():
            known = self.lines.setdefault(file, {})
            for line, names in lines.items():
                known[line] = [*known.get(line, []), *names]

    def laws_for(self, mutant: Mutant) -> list[str]:
        """The laws that could see a mutant, the nearest and quickest first.

        A line of a function concerns the laws that run it. What runs at import concerns those that
        run something of the file, or of a file that takes something from it.
        """
        lines = self.lines.get(mutant.file, {})
        within = range(mutant.first, mutant.last + 1)
        running = {name for line in within for name in lines.get(str(line), ())}
        file = self._running(mutant.file)
        if mutant.imported or "" in running:
            running = file.union(*map(self._running, importers(mutant.file)))
        word = Path(mutant.file).stem.replace("_", "-")

        def distance(name: str) -> tuple[bool, bool, float]:
            return name not in file, word not in name, self.seconds[name]

        return sorted(running - {""} - set(self.failing), key=distance)

    def _running(self, file: str) -> set[str]:
        return {name for names in self.lines.get(file, {}).values() for name in names}


@cache
def _imports() -> dict[str, set[str]]:
    """Of every module of danlu the files that import it, or something from it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                for name in (node.module, *names):
                    found[name].add(str(path.relative_to(SOURCE)))
    return found


def importers(file: str) -> set[str]:
    """The files that take something from a file, be it by way of its package's tables."""
    module = "danlu." + file.removesuffix(".py").replace("/", ".")
    direct = _imports()[module]
    package = str(Path(file).with_name("__init__.py"))
    return direct | (_imports()[module.rpartition(".")[0]] if package in direct else set())


def preload() -> None:
    """Import whatever danlu imports, except danlu."""
    import torch

    torch.set_num_threads(1)
    ((_, text),) = in_forks([0], lambda _: _foreign_modules(), jobs=1)
    for name in json.loads(text or "[]"):
        with suppress(ImportError):  # compiled packages put names there that no file stands behind
            importlib.import_module(name)


def _foreign_modules() -> str:
    import danlu.laws  # noqa: F401

    names = [name for name in sys.modules if name.partition(".")[0] not in {"danlu", "__mp_main__"}]
    return json.dumps(names)


def measure_baseline(jobs: int, kept: Path | None) -> Baseline:
    """Measure every law under a tracer of lines.

    Args:
        jobs: processes.
        kept: a file from which laws that were measured before are taken, and to which all go.
    """
    baseline = Baseline()
    if kept and kept.exists():
        baseline.add(_still_true(json.loads(kept.read_text())))
    known = set(baseline.seconds)
    for _, text in in_forks(range(jobs), lambda part: _traced(known, part, jobs), jobs):
        if text is None:
            raise RuntimeError("A process that measured the laws without mutants died.")
        baseline.add(json.loads(text))
    if kept:
        kept.write_text(json.dumps(vars(baseline)))
    return baseline


def _still_true(facts: dict[str, Any]) -> dict[str, Any]:
    """Without the laws that fail, or that ran something of a file that has changed since."""
    changed = {
        file for file, digest in facts["digests"].items() if _digest(SOURCE / file) != digest
    }
    stale = {name for file in changed for names in facts["lines"][file].values() for name in names}
    stale |= set(facts["failing"])
    return {
        "seconds": {name: s for name, s in facts["seconds"].items() if name not in stale},
        "failing": [],
        "digests": {file: d for file, d in facts["digests"].items() if file not in changed},
        "lines": {
            file: {line: [n for n in names if n not in stale] for line, names in lines.items()}
            for file, lines in facts["lines"].items()
            if file not in changed
        },
    }


def _traced(known: set[str], part: int, parts: int) -> str:
    import coverage

    # Of what is measured, whatever somebody writes meanwhile.
    digests = {str(path.relative_to(SOURCE)): _digest(path) for path in SOURCE.rglob("*.py")}
    with tempfile.TemporaryDirectory() as folder:
        tracer = coverage.Coverage(
            data_file=f"{folder}/lines", include=[f"{SOURCE}/*"], config_file=False
        )
        tracer.start()
        from danlu import laws as checks

        seconds, failing = {}, []
        for law in [law for law in checks.laws() if law.name not in known][part::parts]:
            tracer.switch_context(law.name)
            (checked,) = checks.measured([replace(law, example=None)])
            seconds[law.name] = checked.seconds
            if not checked.holds:
                failing.append(law.name)
        tracer.stop()
        data = tracer.get_data()
        lines = {
            str(Path(file).relative_to(SOURCE)): data.contexts_by_lineno(file)
            for file in data.measured_files()
        }
    digests = {file: digests[file] for file in lines}
    return json.dumps({"seconds": seconds, "failing": failing, "lines": lines, "digests": digests})


def _digest(path: Path) -> int | None:
    return crc32(path.read_bytes()) if path.exists() else None


def test_mutants(
    mutants: list[Mutant], baseline: Baseline, jobs: int
) -> Iterator[tuple[Mutant, Tested]]:
    """Measure the laws on every mutant, each until the first that fails."""

    def one(mutant: Mutant) -> str:
        return json.dumps(asdict(_tested(mutant, baseline)))

    for mutant, text in in_forks(mutants, one, jobs):
        yield mutant, Tested(**json.loads(text)) if text else Tested("timeout", "", 0, 0.0)


def _tested(mutant: Mutant, baseline: Baseline) -> Tested:
    began = perf_counter()
    names = baseline.laws_for(mutant)

    def ended(end: str, law: str = "", laws: int = len(names)) -> Tested:
        return Tested(end, law, laws, round(perf_counter() - began, 2))

    sys.meta_path.insert(0, _Changed(mutant))
    try:
        from danlu import laws as checks
    except (OSError, ModuleNotFoundError) as problem:  # which no change of a formula can do
        return ended("lost", f"{type(problem).__name__}: {problem}", 0)
    except Exception as problem:  # a mutant may fail in any way
        return ended("import", f"{type(problem).__name__}: {problem}", 0)
    laws = {law.name: law for law in checks.laws()}
    for i, name in enumerate(names, start=1):
        seconds = LONGEST + 10 * baseline.seconds[name]
        # Seconds of computing end an endless loop, seconds of the clock an endless wait.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, 10 * seconds)
        if name not in laws:
            return ended("broken", name, i)
        try:
            (checked,) = checks.measured([replace(laws[name], example=None)])
        except Exception:  # a mutant may fail in any way
            return ended("broken", name, i)
        if not checked.holds:
            return ended("failed" if checked.error < float("inf") else "broken", name, i)
    return ended("survived")


class _Changed:
    """Finds the one module whose tree was changed; every other is found as ever."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant
        self.path = SOURCE / mutant.file
        self.name = "danlu." + mutant.file.removesuffix(".py").replace("/", ".")

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        if name != self.name:
            return None
        loader = _Compiled(name, str(self.path))
        loader.tree = mutated(self.path.read_text(), self.mutant)
        return importlib.util.spec_from_file_location(name, self.path, loader=loader)


class _Compiled(SourceFileLoader):
    """Loads a module from a tree in place of its file."""

    tree: ast.Module

    def get_code(self, fullname: str) -> Any:
        return compile(self.tree, self.path, "exec")


def in_forks(items: Any, work: Callable[[Any], str], jobs: int) -> Iterator[tuple[Any, str | None]]:
    """What `work` says of each item, in a fork of this process; None where the fork was killed."""
    waiting, running = list(reversed(list(items))), {}
    with tempfile.TemporaryDirectory() as folder:
        while waiting or running:
            while waiting and len(running) < jobs:
                item = waiting.pop()
                answer = Path(folder) / f"{len(waiting)}.json"
                running[_forked(item, work, answer)] = item, answer
            pid = _first_ended(running)
            item, answer = running.pop(pid)
            yield item, answer.read_text() if answer.exists() else None


def _first_ended(running: dict[int, Any]) -> int:
    """Wait for one of our own forks; whoever calls us may have other children."""
    pid, _ = os.wait()
    return pid if pid in running else _first_ended(running)


def _forked(item: Any, work: Callable[[Any], str], answer: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        # What a mutant computes must not be kept for others.
        os.environ["DANLU_CACHE"] = f"{answer.parent}/cache-{os.getpid()}"
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        said = work(item)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        temporary = answer.with_suffix(".part")
        temporary.write_text(said)
        temporary.rename(answer)
    finally:
        os._exit(0)
