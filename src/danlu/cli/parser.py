"""The parser of the command line: verbs with examples, and errors of one line with a hint."""

import argparse
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from math import inf, isfinite
from types import ModuleType
from typing import Any, NoReturn

from rich_argparse import RawDescriptionRichHelpFormatter
from typing_extensions import override

import danlu
from danlu.cli.failures import UsageError


class Parser(argparse.ArgumentParser):
    """Raises `UsageError` in place of exiting, and knows the nearest option."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", RawDescriptionRichHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(**kwargs)

    @override
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}; see `{self.prog} --help`.")

    def require_known(self, unread: Sequence[str]) -> None:
        """Refuse what no argument took."""
        if not unread:
            return
        flag = unread[0].partition("=")[0]
        if not flag.startswith("-"):
            raise UsageError(f"{flag!r} is one argument too many; see `{self.prog} --help`.")
        raise UsageError(
            f"Unknown option {flag!r}; {nearest(flag, list(self._option_string_actions))}"
        )


def nearest(name: str, known: Sequence[str]) -> str:
    """A hint at the nearest known name, or at all of them."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}."


def parse(arguments: Sequence[str], verbs: dict[str, ModuleType]) -> argparse.Namespace:
    """The verb's arguments, with `run` to run it and `parser` to complain with.

    Raises:
        UsageError: a verb, an option or a value is not known.
    """
    parser = Parser(
        prog="danlu",
        description="Train generative models of every family on your data and your machine, and "
        "see at one budget which one to use.",
        epilog="start with:  danlu race digits --minutes 3",
    )
    parser.add_argument("--version", action="version", version=f"danlu {danlu.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    given = next((word for word in arguments if not word.startswith("-")), None)
    parsers = {name: _verb(commands, name, module) for name, module in verbs.items()}
    if given in verbs:  # the others' arguments are asked for by nobody
        verbs[given].arguments(parsers[given])
    if given is None:
        parser.parse_args([*arguments] or ["--help"])
    if given not in verbs:
        raise UsageError(f"Unknown command {given!r}; {nearest(str(given), list(verbs))}")
    options, unread = parser.parse_known_args(arguments)
    parsers[given].require_known(unread)
    return options


def _verb(commands: Any, name: str, module: ModuleType) -> Parser:
    examples = "".join(f"\n  {line}" for line in module.EXAMPLES)
    parser = commands.add_parser(
        name, help=module.HELP, description=module.__doc__, epilog=f"examples:{examples}"
    )
    parser.set_defaults(run=module.run)
    return parser


def add_budget(parser: Parser, *, minutes: str, steps: str = "", examples: str = "") -> None:
    """`--minutes`, and `--steps` or `--examples` beside it where a text explains it."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--minutes", type=_length(float), metavar="M", help=minutes)
    if steps:
        group.add_argument("--steps", type=_length(int), metavar="N", help=steps)
    if examples:
        group.add_argument("--examples", type=_length(int), metavar="N", help=examples)


def _length(kind: type[float] | type[int]) -> Callable[[str], Any]:
    """Reads the length of a budget."""

    def read(text: str) -> Any:
        value = kind(text)
        if not 0 < value < inf:
            raise argparse.ArgumentTypeError(f"a budget must be positive and finite, got {text}")
        return value

    read.__name__ = kind.__name__  # argparse names it where the text is no number
    return read


def whole(text: str) -> int:
    """A whole number as machines have it, in 64 bits."""
    if abs(value := int(text)) >= 2**63:
        raise argparse.ArgumentTypeError(f"no number is as large as {value:.3g} here")
    return value


whole.__name__ = "whole number"


def finite(text: str) -> float:
    """A number that is neither infinite nor NaN."""
    if not isfinite(value := float(text)):
        raise argparse.ArgumentTypeError(f"a finite number is needed, got {text}")
    return value


finite.__name__ = "number"


def add_data(parser: Parser) -> None:
    """How a folder of images, or a text, is read."""
    parser.add_argument(
        "--size",
        type=whole,
        metavar="N",
        help="side of the images of a folder in pixels, or tokens of a window of text",
    )
    parser.add_argument(
        "--label",
        default="none",
        metavar="RULE",
        help="`folder` makes subfolders classes, `captions` tells texts; default none",
    )


def add_common(parser: Parser, *, settings: bool = True, out: str = "") -> None:
    """`--out --seed --device --set --json`."""
    if out:
        parser.add_argument("--out", metavar="PATH", help=out)
    parser.add_argument("--seed", type=whole, default=0, help="of everything random (default 0)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, mps, or auto (default)")
    if settings:
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            dest="settings",
            metavar="ROOM.FIELD=VALUE",
            help="change one setting of model, optimizer, train, sampler or data; repeatable",
        )
    add_json(parser)


def add_track(parser: Parser) -> None:
    """`--track`."""
    parser.add_argument(
        "--track", choices=("tensorboard",), help="also log into RUN/tensorboard for this viewer"
    )


def add_json(parser: Parser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def add_asked(parser: Parser) -> None:
    """What samples are told."""
    parser.add_argument(
        "--class", dest="class_id", metavar="CLASS", help="a class by its name, or its id"
    )
    parser.add_argument(
        "--prompt", metavar="TEXT", help="the text that tells samples, or that a text begins with"
    )
    parser.add_argument(
        "--condition", metavar="FILE", help="what samples are told, by rows of .npz, .npy, .txt"
    )


def add_family(parser: Parser) -> None:
    """Where a run of a foreign family finds its class."""
    parser.add_argument(
        "--family",
        dest="foreign",
        metavar="PACKAGE.MODULE:CLASS",
        help="the class of a run whose family is your own",
    )
