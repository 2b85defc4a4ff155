"""How much memory there is, and the refusal of what would not fit, before it is read."""

import os
import sys
from pathlib import Path

from danlu.contracts import DanluError

SHARE = 0.8
"""Of the free memory that may be taken."""
CONTAINER = Path("/sys/fs/cgroup")


def require_memory(needed: int, what: str, *, instead: str = "take less of it") -> None:
    """Refuse what will not fit.

    Args:
        needed: bytes at the worst moment.
        what: the subject of the sentence, such as `photos: 300 images at 64 x 64`.
        instead: what the user can do.

    Raises:
        DanluError: more than four fifths of the free memory.
    """
    available = available_memory()
    if needed > SHARE * available:
        raise DanluError(
            f"{what} may take {needed / 1e9:,.1f} GB of memory, {available / 1e9:,.1f} GB are "
            f"free: {instead}."
        )


def available_memory() -> int:
    """Bytes that can be taken without swapping: of the machine, or what a container leaves."""
    return min(_of_machine(), _of_container())


def _of_machine() -> int:
    """What the kernel says; half of the memory where it does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _of_container() -> int:
    """The limit of a control group less what is in use; without one there is no limit."""
    try:
        most, used = (
            int((CONTAINER / name).read_text(encoding="ascii"))
            for name in ("memory.max", "memory.current")
        )
    except (OSError, ValueError):  # no group, or "max"
        return sys.maxsize
    return max(0, most - used)
