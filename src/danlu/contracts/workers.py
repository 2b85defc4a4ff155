"""Processes that work for this one and end with it, however it ends."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import Any


def workers(
    count: int, begin: Callable[..., Any] | None = None, given: tuple[Any, ...] = ()
) -> ProcessPoolExecutor:
    """A pool of fresh processes, which a kill of this process that nothing can catch ends too.

    Args:
        count: of processes.
        begin: called once in each.
        given: what `begin` is called with.
    """
    context = get_context("spawn")
    return ProcessPoolExecutor(count, context, _begun, (begin, *given))


def _begun(begin: Callable[..., Any] | None, *given: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin(*given)


def _end_with_parent() -> None:
    """Wait for the pipe that the parent alone holds open; the pool's own pipes outlive it."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # nobody is left to be told, and whatever runs here is for nobody
