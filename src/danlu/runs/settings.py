"""Settings by name: `room.field=value`, typed by the field they set, unknown keys answered.

A field's type comes from its annotation, or from its default where it has none; text is read as
that type and never evaluated. Rooms are model, optimizer, train, sampler and data. An optimiser
field may name its player: `optimizer.critic.rate=1e-4`. `optimizer=amos` is `optimizer.name=amos`.
"""

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from danlu.contracts import DanluError, unknown

ROOMS = ("model", "optimizer", "train", "sampler", "data")
ONE_WORD = {"optimizer": "name"}
"""Rooms that may be set as a whole, and the field this sets."""

Fields = Mapping[str, Any]
"""Name of a field -> its type."""

_SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Settings:
    """The texts given for the fields of each room."""

    def __init__(self, items: Iterable[str] = ()) -> None:
        self.texts: dict[str, dict[str, str]] = {room: {} for room in ROOMS}
        for item in items:
            key, equals, text = item.partition("=")
            room, dot, field = key.strip().partition(".")
            field = field if dot else ONE_WORD.get(room, "")
            if not (equals and field):
                raise DanluError(f"A setting reads room.field=value, got {item!r}.")
            if room not in ROOMS:
                raise unknown("room of settings", room, ROOMS)
            self.texts[room][field] = text.strip()

    def read(self, room: str, known: Fields, owner: str = "") -> dict[str, Any]:
        """The values given for a room, typed by its known fields; `owner` is who has them.

        Raises:
            DanluError: a field is not known, or a text is not of its type.
        """
        values = {}
        for field, text in self.texts[room].items():
            if field not in known:
                raise _lacking(owner, room, field, known)
            values[field] = parse(text, known[field], f"{room}.{field}")
        return values

    def require_only(self, *rooms: str) -> None:
        """Refuse settings of rooms that a command does not use.

        Raises:
            DanluError: a setting of another room was given.
        """
        for room, texts in self.texts.items():
            if texts and room not in rooms:
                used = ", ".join(rooms)
                raise DanluError(f"--set {room}.{next(iter(texts))}: this command sets {used}.")


def _lacking(owner: str, room: str, field: str, known: Fields) -> DanluError:
    """The error for a field that is not there, with the nearest one or all there are."""
    error = unknown(f"{room} setting", field, known)
    if not owner:
        return error
    hint = str(error).partition("; ")[2] if known else "it has none."
    return DanluError(f"{owner} has no {room} setting {field!r}; {hint}")


def fields_of(dataclass: type) -> Fields:
    """The fields of a dataclass with their types."""
    hints = typing.get_type_hints(dataclass)
    return {field.name: hints[field.name] for field in fields(dataclass)}


def settings_of(build: Callable[..., Any]) -> dict[str, Any]:
    """Every keyword setting of a builder with its default; the description is not one."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.default is not parameter.empty and name != "description"
    }


def types_of(build: Callable[..., Any]) -> Fields:
    """The type of every keyword setting of a builder, by annotation, else by default."""
    parameters = inspect.signature(build).parameters
    return {
        name: type(value)
        if parameters[name].annotation is inspect.Parameter.empty
        else parameters[name].annotation
        for name, value in settings_of(build).items()
    }


def parse(text: str, kind: Any, key: str) -> Any:
    """Read a text as a type: bool, int, float, str, enum, None, and unions and tuples of these.

    Raises:
        DanluError: the text is not of that type.
    """
    options = sorted(_members(kind), key=_rank)
    for option in options:
        try:
            return _read(text, option)
        except (ValueError, KeyError):
            continue
    wanted = " or ".join(_word(option) for option in options)
    raise DanluError(f"{key} takes {wanted}, got {text!r}.")


def _members(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) is typing.Literal:
        return typing.get_args(kind)
    is_union = typing.get_origin(kind) in (types.UnionType, typing.Union)
    return typing.get_args(kind) if is_union else (kind,)


def _rank(kind: Any) -> int:
    """Strings take any text, so they are tried last."""
    order = [types.NoneType, bool, int, float]
    return order.index(kind) if kind in order else len(order)


def _read(text: str, kind: Any) -> Any:
    if kind is types.NoneType:
        return {"none": None, "null": None, "": None}[text.lower()]
    if kind is bool:
        return _SWITCH[text.lower()]
    if kind in (int, float, str):
        return kind(text)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(text)
    if typing.get_origin(kind) is tuple:
        return _tuple(text, typing.get_args(kind))
    if kind == text:  # one word of a Literal
        return text
    raise ValueError(f"cannot read {kind}")


def _tuple(text: str, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    parts = [part.strip() for part in text.strip("()[]").split(",") if part.strip()]
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(parts)
    return tuple(_read(part, kind) for part, kind in zip(parts, kinds, strict=True))


def _word(kind: Any) -> str:
    names = {types.NoneType: "none", bool: "true or false", int: "a whole number",
             float: "a number", str: "a word"}  # fmt: skip
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(str(member.value) for member in kind)
    return names.get(kind, str(kind))
