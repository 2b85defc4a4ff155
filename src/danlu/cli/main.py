"""The entry point: finds the verb, runs it, and turns failures into one line and an exit code.

0 is success, 1 a failure such as a loss that is not finite, 2 bad input, 130 an interruption.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

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
from danlu.cli.parser import UsageError, parse

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
OK, FAILURE, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

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
        return options.run(options)
    except SystemExit as stop:  # --help, --version, a second Ctrl+C
        return stop.code if isinstance(stop.code, int) else OK
    except BrokenPipeError:
        return _closed_pipe()
    except (KeyboardInterrupt, Exception) as error:
        explained = _explained(error)
        if explained is None:
            raise
        line, code = explained
        sys.stderr.write(f"danlu: {' '.join(line.split())}\n")
        return code


def _explained(error: BaseException) -> tuple[str, int] | None:
    """The line and the exit code for an error; None for what is our own mistake."""
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "interrupted.", INTERRUPTED
    if isinstance(error, UsageError):
        return str(error), BAD_INPUT
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or error}.", BAD_INPUT
    if isinstance(error, ValueError) and _is_ours(error.__traceback__):
        return str(error), BAD_INPUT
    if type(error).__name__ == "NonFiniteError":
        return str(error), FAILURE
    return None


def _is_ours(trace: TracebackType | None) -> bool:
    """Whether the innermost frame is danlu's: then the message is for the user."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    home = Path(__file__).parents[1]
    return trace is not None and home in Path(trace.tb_frame.f_code.co_filename).parents


def _closed_pipe() -> int:
    """The reader of our output has left, as `danlu list | head` does; nothing is wrong."""
    sys.stdout = None  # type: ignore[assignment]  # nothing more is flushed at exit
    return OK
