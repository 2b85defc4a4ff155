"""One at a time: whoever trains in a folder holds its lock, and says who he is.

The system lets go of a lock when its holder ends, however that happens; a file that is left over
means nothing.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from danlu.contracts import DanluError
from danlu.files import telling

LOCK = ".lock"
_HELD: set[Path] = set()


@contextmanager
def held(folder: Path | None) -> Iterator[None]:
    """Nobody else trains in the folder, which is made, inside the context.

    A holder that asks again within it is let through, and so is who has no folder.

    Raises:
        DanluError: another process holds it.
    """
    path = None if folder is None else folder.resolve() / LOCK
    if folder is None or path is None or path in _HELD:
        yield
        return
    with telling(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(descriptor, folder)
        _HELD.add(path)
        yield
    finally:
        _HELD.discard(path)
        os.close(descriptor)


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 200).decode(errors="replace").strip()
        raise DanluError(
            f"{folder} is in use by {holder or 'another process'}; wait for it, or end it first."
        ) from None
    except OSError:
        return  # a file system without locks
    with suppress(OSError):  # a full disk: the lock holds without a name
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
