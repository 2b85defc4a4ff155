"""Explain a method: its idea and formula, its sources, what can be set, and what checks it."""

import argparse
from typing import Any

from danlu.cli.console import console_for, say, write_json
from danlu.cli.parser import Parser, add_json

HELP = "explain a method: idea, formula, sources, settings, laws"
EXAMPLES = ("danlu explain rectified-flow", "danlu explain coverage", "danlu explain heun --json")


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    parser.add_argument("name", help="a name that `danlu list` prints")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print every row of that name."""
    from danlu.catalogue.listing import explanation, find, laws_for

    found = [
        {
            "table": room.title,
            "from": room.home,
            "explanation": explanation(method),
            "sources": list(method.sources),
            "settings": _settings(room.home, method),
            "laws": {law.name: law.statement for law in laws_for(room, options.name)},
        }
        for room, method in find(options.name)
    ]
    if options.json:
        write_json(found)
        return 0
    for facts in found:
        _print(options.name, facts)
    return 0


def _settings(home: str, method: Any) -> dict[str, Any]:
    """What `--set model.` and `--set sampler.` change, for families alone."""
    if not home.endswith(".FAMILIES"):
        return {}
    from danlu.runs.options import flat
    from danlu.runs.settings import settings_of

    options = flat(method.build().Options())
    sampler = {f"sampler.{name}": value for name, value in options.items()}
    model = {f"model.{name}": value for name, value in settings_of(method.build).items()}
    return {**model, **sampler}


def _print(name: str, facts: dict[str, Any]) -> None:
    console = console_for(False)
    say(console, f"{name} ({facts['table'].lower()}, {facts['from']})", "bold")
    say(console, f"\n{facts['explanation']}\n")
    say(console, f"In its table: {'; '.join(facts['sources'])}")
    if facts["settings"]:
        say(console, "\nSettings and their defaults (a recipe may choose others):")
        for key, value in facts["settings"].items():
            say(console, f"  --set {key}={value}")
    say(console, "\nLaws that check it:")
    for law, statement in facts["laws"].items():
        say(console, f"  {law}: {statement}")
    say(console, "")
