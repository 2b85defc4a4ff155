"""Ctrl+C: the first asks for an orderly stop, a second one exits at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 130


@contextmanager
def orderly_stop(ask: Callable[[], None]) -> Iterator[None]:
    """SIGINT calls `ask` inside the context; the second one raises `SystemExit(130)`.

    Signals reach the main thread only; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise SystemExit(EXIT_CODE)
        asked = True
        ask()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
