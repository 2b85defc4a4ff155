"""Options of a family by dotted names: those of a composed model nest by its parts.

`prior.guided_until` is the field `guided_until` of the options in the field `prior`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, cast

from danlu.runs.settings import Fields, fields_of


def option_fields(options: type) -> Fields:
    """Dotted name -> type, of every option."""
    found = {}
    for name, kind in fields_of(options).items():
        if is_dataclass(kind):
            inner = option_fields(cast(type, kind))
            found.update({f"{name}.{each}": value for each, value in inner.items()})
        else:
            found[name] = kind
    return found


def flat(options: Any) -> dict[str, Any]:
    """Dotted name -> value, of options or of what a file keeps of them."""
    named = (
        options
        if isinstance(options, Mapping)
        else {field.name: getattr(options, field.name) for field in fields(options)}
    )
    found = {}
    for name, value in named.items():
        if isinstance(value, Mapping) or is_dataclass(value):
            found.update({f"{name}.{each}": inner for each, inner in flat(value).items()})
        else:
            found[name] = value
    return found


def changed(options: Any, values: Mapping[str, Any]) -> Any:
    """The options with some changed, by dotted name."""
    own = {name: value for name, value in values.items() if "." not in name}
    parts: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        part, dot, rest = name.partition(".")
        if dot:
            parts.setdefault(part, {})[rest] = value
    inner = {part: changed(getattr(options, part), given) for part, given in parts.items()}
    return replace(options, **own, **inner)


def place(name: str, names: Iterable[str]) -> str:
    """Where an option of that last name is: its shortest dotted name, or the name where none is."""
    found = [each for each in names if each.rpartition(".")[2] == name]
    return min(found, key=len, default=name)


def plain(value: Any) -> Any:
    """Dictionaries, lists, numbers and words, as files have them."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """What files have, with lists as tuples again."""
    return {
        name: tuple(v) if isinstance(v, list) else tuples(v) if isinstance(v, Mapping) else v
        for name, v in values.items()
    }
