"""Odd inputs of every kind, until one ends in a traceback, a signal or an unknown exit code.

    python tests/fuzz/fuzz.py [FRACTION] [KIND ...]

Each kind runs in a process of its own, so that a crash of an extension is seen; two run at once.
Inputs that failed are kept in `.hypothesis` and tried first the next time.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from kinds import KINDS, Ground

KEPT = Path(".hypothesis/danlu")
SECONDS = 20 * 60
"""After this a kind counts as hanging."""


def say(line: str) -> None:
    """A line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(kind: str, number: int) -> None:
    """All inputs of a kind, in this process; raises at the smallest one that fails."""
    strategy, trial, _ = KINDS[kind]
    done = 0
    with TemporaryDirectory(prefix="danlu-fuzz-") as name:
        ground = Ground(Path(name), kind)

        @settings(
            max_examples=number,
            derandomize=False,
            database=DirectoryBasedExampleDatabase(KEPT / kind),
            deadline=None,
            phases=(Phase.reuse, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def tries(value: object) -> None:
            nonlocal done
            done += 1
            trial(ground, value)

        began = time.monotonic()
        tries()
    say(json.dumps({"kind": kind, "inputs": done, "seconds": round(time.monotonic() - began)}))


def started(kind: str, number: int) -> tuple[str, int, str]:
    """A kind in a process of its own: how many inputs it had, and what went wrong."""
    command = [sys.executable, "-X", "faulthandler", __file__, "--one", kind, str(number)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return kind, 0, f"it was not over after {SECONDS} s"
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        return kind, 0, f"exit code {done.returncode}\n{said[-4000:]}"
    return kind, json.loads(done.stdout.splitlines()[-1])["inputs"], ""


def main(arguments: list[str]) -> int:
    """Everything, two kinds at once; 1 where something went wrong."""
    if arguments[:1] == ["--one"]:
        run(arguments[1], int(arguments[2]))
        return 0
    fraction = float(arguments[0]) if arguments else 1.0
    chosen = arguments[1:] or list(KINDS)
    work = [(kind, max(1, round(KINDS[kind].number * fraction))) for kind in chosen]
    work.sort(key=lambda each: "starts" not in each[0])  # the longest first
    total = failed = 0
    call: Callable[[tuple[str, int]], tuple[str, int, str]] = lambda each: started(*each)
    with ThreadPoolExecutor(2) as pool:
        for kind, inputs, wrong in pool.map(
            call, sorted(work, key=lambda each: "starts" not in each[0])
        ):
            total += inputs
            failed += bool(wrong)
            say(f"{'FAIL' if wrong else 'ok  '} {kind}: {wrong or f'{inputs:,} inputs'}")
    say(f"{total:,} inputs, {failed} of {len(work)} kinds failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
