"""What went wrong, in one line, and the exit code; what is our own mistake is kept whole."""

import os
import sys
import tempfile
import traceback
from errno import EDQUOT, EIO, ENOSPC

OK, FAILURE, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


class UsageError(Exception):
    """A command line that cannot be understood; the message is one line for the user."""


def explained(error: BaseException) -> tuple[str, int]:
    """The line and the exit code for any error."""
    return foreseen(error) or (_unforeseen(error), FAILURE)


def foreseen(error: BaseException) -> tuple[str, int] | None:
    """The line and the exit code for what may happen; None for a mistake of ours."""
    if isinstance(error, KeyboardInterrupt):
        return _interrupted(str(error)), INTERRUPTED
    if isinstance(error, UsageError) or _is(error, "DanluError"):
        return str(error), BAD_INPUT
    if _is(error, "NonFiniteError") or _is(error, "StorageError"):
        return str(error), FAILURE
    if isinstance(error, OSError):
        return _of_system(error)
    if _lacks_memory(error):
        return "there is not enough memory for that; ask for less at once.", FAILURE
    return None


def _is(error: BaseException, name: str) -> bool:
    """Whether it is of one of danlu's classes, which are not imported here: they bring torch."""
    kinds = type(error).__mro__
    return any(k.__name__ == name and k.__module__.startswith("danlu.") for k in kinds)


def _interrupted(said: str) -> str:
    if not said:
        return "interrupted."
    return f"stopped by {said}." if said.startswith("SIG") else said


def _of_system(error: OSError) -> tuple[str, int] | None:
    """What the system refuses: a file that was named, or our own output."""
    if error.filename is not None:
        code = FAILURE if error.errno in (ENOSPC, EDQUOT, EIO) else BAD_INPUT
        return f"{error.filename}: {error.strerror or error}.", code
    if error.errno:
        return f"the system refuses: {os.strerror(error.errno)}.", FAILURE
    return None


def _lacks_memory(error: BaseException) -> bool:
    said = str(error)
    by_torch = "DefaultCPUAllocator" in said or "out of memory" in said
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and by_torch)


def _unforeseen(error: BaseException) -> str:
    """One line for a mistake of ours, with the place of the whole story."""
    story = "".join(traceback.format_exception(error))
    try:
        descriptor, path = tempfile.mkstemp(prefix="danlu-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{sys.argv}\n\n{story}")
        where = f"what led to it is in {path}"
    except OSError as refused:
        where = f"what led to it cannot be kept ({refused.strerror})"
    return f"a mistake in danlu itself or in a class of yours, {type(error).__name__}: {where}."
