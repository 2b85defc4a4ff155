"""Where output goes: people read standard output, unless a program asked for JSON there."""

import codecs
import os
import sys
from typing import Any, NoReturn

from rich.console import Console
from typing_extensions import override

WIDE = 200
PLAIN = str.maketrans(
    {"±": "+-", "≤": "<=", "–": "-", "−": "-", "…": "...", "·": "*", "×": "x", "→": "->"}
)
"""What stands for a character on a terminal that has none but ASCII's; for others a `?`."""


class People(Console):
    """Plain text as it is: no `[markup]`, no `:emoji:`, and no end of the program by rich."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    @override
    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


class Lasting(People):
    """Of work that is worth its end: when nobody reads any more, it goes on in silence."""

    @override
    def on_broken_pipe(self) -> None:
        silence()
        self.quiet = True


def console_for(as_json: bool, kind: type[People] = People) -> Console:
    """The console for people: standard error while standard output carries JSON."""
    console = kind(stderr=as_json)
    # A file or a pipe has no width; tables must not be cut to a guess.
    return console if console.is_terminal else kind(stderr=as_json, width=WIDE)


def silent() -> Console:
    """A console for a process that does not report."""
    return Console(quiet=True)


def say(console: Console, line: str, style: str = "") -> None:
    """One plain line."""
    console.print(line, style=style or None, soft_wrap=True)


def tell(line: str) -> None:
    """One line on standard error, as well as it can be said there."""
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except OSError:
        silence()


def write_json(value: Any) -> None:
    """One JSON document on standard output; what is not finite becomes null."""
    from danlu.files import json_text  # which brings torch

    sys.stdout.write(json_text(value, indent=1) + "\n")


def open_streams() -> None:
    """Streams that are there and take any character, whatever this process was started with."""
    codecs.register_error("danlu", _in_plain)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        getattr(sys, name).reconfigure(errors="danlu")


def silence() -> None:
    """Nothing more is written to streams whose reader has left, not even when Python ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _in_plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return text.encode("ascii", errors="replace").decode(), error.end


def duration(seconds: float) -> str:
    """Seconds as people write them."""
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
