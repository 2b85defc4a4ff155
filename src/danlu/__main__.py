"""The program: `danlu`, or `python -m danlu`, which `torchrun` starts several times.

Signals are taken before anything else is imported. Whoever stops the program while it is still
being loaded gets one line, as at any other time.
"""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
_asked = False


def stop(number: int, frame: FrameType | None) -> None:
    """End by `KeyboardInterrupt`; at once where it is the second time, or a module is loading.

    An exception in the middle of an import could be taken for a module that is not there.
    """
    global _asked
    if _asked or _loading(frame):
        os.write(2, b"danlu: interrupted.\n")
        os._exit(INTERRUPTED)
    _asked = True
    raise KeyboardInterrupt("" if number == signal.SIGINT else signal.Signals(number).name)


def _loading(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def start() -> NoReturn:
    """Run the command line of this process."""
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` has it
        signal.signal(signal.SIGHUP, stop)
    from danlu.cli.console import open_streams
    from danlu.cli.main import main

    open_streams()
    code = main()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # all is said; what remains takes a moment
    sys.exit(code)


if __name__ == "__main__":
    start()
