"""Where output goes: people read standard output, unless a program asked for JSON there."""

import json
import math
import sys
from typing import Any

from rich.console import Console
from rich.markup import escape

WIDE = 200


def console_for(as_json: bool) -> Console:
    """The console for people: standard error while standard output carries JSON."""
    console = Console(stderr=as_json, highlight=False)
    # A file or a pipe has no width; tables must not be cut to a guess.
    return console if console.is_terminal else Console(stderr=as_json, highlight=False, width=WIDE)


def silent() -> Console:
    """A console for a process that does not report."""
    return Console(quiet=True)


def say(console: Console, line: str, style: str = "") -> None:
    """One plain line; brackets in it are no markup."""
    console.print(escape(line), style=style or None, soft_wrap=True)


def write_json(value: Any) -> None:
    """One JSON document on standard output; what is not finite becomes null."""
    sys.stdout.write(json.dumps(_finite(value), indent=1, default=str) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def duration(seconds: float) -> str:
    """Seconds as people write them."""
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
