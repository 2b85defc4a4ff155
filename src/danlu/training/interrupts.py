"""What ends a training early: Ctrl+C, SIGTERM, SIGHUP, and failures that leave a checkpoint.

The first signal asks for an orderly stop, a second one exits at once.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from danlu.contracts import NonFiniteError, StorageError

EXIT_CODE = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def orderly_stop(ask: Callable[[], None]) -> Iterator[None]:
    """A signal to stop calls `ask` inside the context; the second one raises `SystemExit(130)`.

    Signals reach the main thread only; elsewhere nothing changes. A hang-up that is ignored, as
    `nohup` has it, stays ignored.
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

    before = {number: signal.getsignal(number) for number in SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def telling_what_is_kept(saved: Callable[[], int]) -> Iterator[None]:
    """Failures in the context also say which step has a checkpoint; `saved` is -1 for none."""
    try:
        yield
    except (NonFiniteError, StorageError) as error:
        kept = f"The checkpoint of step {saved()} is kept."
        if saved() < 0:
            wild = isinstance(error, NonFiniteError)
            kept = f"There is no checkpoint yet{'; lower the rate or max_grad_norm' * wild}."
        raise type(error)(f"{error} {kept}") from error
