"""The entry point: finds the verb, runs it, and turns failures into one line and an exit code.

0 is success, 1 a failure such as a loss that is not finite, 2 bad input, 130 an interruption.
"""

import os
import sys
from collections.abc import Sequence

from danlu.cli import (
    bench,
    check,
    eval,  # noqa: A004
    explain,
    export,
    list,  # noqa: A004
    race,
    report,
    sample,
    train,
    words,
)
from danlu.cli.console import silence, tell
from danlu.cli.failures import OK, UsageError, explained
from danlu.cli.parser import parse

VERBS = {
    "race": race,
    "train": train,
    "sample": sample,
    "eval": eval,
    "report": report,
    "check": check,
    "list": list,
    "explain": explain,
    "export": export,
    "bench": bench,
    "words": words,
}

SPIN = "10000"
"""How long a thread of an operation waits busily for the others, in turns of a loop.

The default of GNU OpenMP, 300,000, brings training to a stop as soon as another program needs a
core; this much costs nothing when the machine is idle. It must be set before torch is loaded.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN)
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments, VERBS)
        if options.run is not train.run and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UsageError("Only `danlu train` runs in several processes; leave out torchrun.")
        code = options.run(options)
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # --help, --version, a second Ctrl+C
        return stop.code if isinstance(stop.code, int) else OK
    except BrokenPipeError:  # the reader has left, as `danlu list | head` does; nothing is wrong
        silence()
        return OK
    except (KeyboardInterrupt, Exception) as error:
        line, code = explained(error)
        tell(f"danlu: {' '.join(line.split())}")
        return code
