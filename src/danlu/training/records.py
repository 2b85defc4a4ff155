"""The files of a run folder, read as what they are and covered by a digest.

A record is a dataclass; its file holds the fields as JSON or YAML, the version of the format and
a digest of all of it. Files of format 1, which earlier versions wrote, have neither: `_opened`
knows it, and `training.earlier` what else they wrote in another way. What does not fit is one line
that names the file, the key, the value and what is expected. Nothing here builds an object that a
file names.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any, TypeVar

import yaml

from danlu.contracts import DanluError
from danlu.files import finite, json_text
from danlu.training.earlier import renamed

T = TypeVar("T")

FORMAT = 3
VERSION, DIGEST = "format", "digest"
LARGEST = 256 * 2**20
"""Bytes of the largest file that is taken for a record, or for rows of them."""
SHOWN = 60
"""Characters of a wrong value that an error shows."""

_ALLOWED = ("null", "bool", "int", "float", "str", "seq", "map")


class _Plain(yaml.SafeLoader):
    """YAML that holds what JSON can: no dates, no bytes, no sets, and nothing twice by reference.

    A reference may refer to what refers again, and grow beyond any memory.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it refers to another part of itself by *name")
        return super().compose_node(parent, index)


_TAG = "tag:yaml.org,2002:"
_Plain.yaml_constructors = {
    None: yaml.SafeLoader.yaml_constructors[None],
    **{f"{_TAG}{name}": yaml.SafeLoader.yaml_constructors[f"{_TAG}{name}"] for name in _ALLOWED},
}
_Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag.removeprefix(_TAG) in _ALLOWED]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


# --- writing ------------------------------------------------------------------------------------


def sealed(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data with a digest of all of it."""
    return {**raw, DIGEST: _digest(raw)}


def record_json(raw: Mapping[str, Any]) -> str:
    """The text of a record's file."""
    return json_text(sealed(finite({VERSION: FORMAT, **raw})), indent=1) + "\n"


def record_yaml(raw: Mapping[str, Any]) -> str:
    """The text of a record's file that people read."""
    return yaml.safe_dump(sealed({VERSION: FORMAT, **raw}), sort_keys=False, allow_unicode=True)


def row_json(raw: Mapping[str, Any]) -> str:
    """The line of a record in a file of many."""
    return json_text(sealed(finite(raw))) + "\n"


# --- reading ------------------------------------------------------------------------------------


def read_json(path: Path, kind: type[T]) -> tuple[T, str]:
    """The record in a JSON file, and a notice where it is not what danlu wrote.

    Raises:
        DanluError: it is absent, no JSON, or holds something else.
    """
    return _opened(path, _parsed(path, json.loads, "JSON"), kind)


def read_yaml(path: Path, kind: type[T]) -> tuple[T, str]:
    """The record in a YAML file, and a notice where it is not what danlu wrote.

    Raises:
        DanluError: it is absent, no YAML, or holds something else.
    """
    return _opened(path, yaml_of(path), kind)


def yaml_of(path: Path) -> Any:
    """The plain data in a YAML file.

    Raises:
        DanluError: it is absent or no YAML of plain data.
    """
    return _parsed(path, lambda text: yaml.load(text, Loader=_Plain), "YAML")


def read_rows(path: Path, kind: type[T]) -> tuple[list[T], list[str]]:
    """The records of a file with one on each line, and a notice about lines that are left out.

    The last line may be cut off by a kill, which needs no notice. An absent file has no lines.
    """
    if not path.exists():
        return [], []
    try:
        lines = text_of(path).splitlines()
    except DanluError as error:
        return [], [f"{error} It is left out."]
    rows: list[T] = []
    reasons: list[str] = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(_row(path, number, line, kind))
        except DanluError as error:
            reasons.append(str(error))
    if reasons and len(rows) + 1 == len(lines) and not _is_json(lines[-1]):
        reasons = []
    said = "1 line is" if len(reasons) == 1 else f"{len(reasons)} lines are"
    return rows, [f"{said} left out: {reasons[0]}"] if reasons else []


def typed(raw: Any, kind: Any, where: str) -> Any:
    """Plain data as a type, of which dataclasses are the usual ones.

    Raises:
        DanluError: it does not fit; the line begins with `where`.
    """
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_json(json.dumps([raw]))[0]
    except ValidationError as error:
        if _filled(raw, errors := error.errors(include_url=False)):
            return typed(raw, kind, where)
        raise DanluError(f"{where}: {_told(errors[0])}") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise DanluError(f"{where}: {_line(error)}.") from None


def _filled(raw: Any, errors: list[Any]) -> bool:
    """Whether only numbers are missing; each null becomes NaN, of which it was written."""
    if {(error["type"], repr(error["input"])) for error in errors} != {("float_type", "None")}:
        return False
    for _, *path, last in (error["loc"] for error in errors):
        reduce(getitem, path, raw)[last] = math.nan
    return True


def is_readable(kind: Any) -> bool:
    """Whether `typed` knows a type; not where it is a word, or the class of a foreign object."""
    from pydantic import PydanticUserError

    try:
        _adapter(kind)
    except (PydanticUserError, NameError, TypeError):
        return False
    return True


def text_of(path: Path, most: int = LARGEST) -> str:
    """The text of a file that is a file and not too large.

    Raises:
        DanluError: it is absent, something else, too large, or no text.
    """
    if not path.is_file():
        raise DanluError(f"{path} is {'no file' if path.exists() else 'absent'}.")
    if (size := path.stat().st_size) > most:
        raise DanluError(f"{path} has {size:,} bytes; at most {most:,} are expected.")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise DanluError(f"{path} is no UTF-8 text (byte {error.start}).") from None
    except OSError as error:
        raise DanluError(f"{path} cannot be read: {error.strerror}.") from None


def inside(folder: Path, name: str) -> Path:
    """The path of what a file of a folder names, which never lies outside of that folder.

    Raises:
        DanluError: it does.
    """
    try:
        path = (folder / name).resolve()
        within = path.is_relative_to(folder.resolve())
    except (ValueError, OSError, RuntimeError):  # NUL, a name too long, a circle of links
        within = False
    if not within:
        raise DanluError(f"A file of {folder} names {shown(name)}, which is not inside of it.")
    return folder / name


def shown(value: Any) -> str:
    """A value as an error shows it: on one line, short, without control characters."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _parsed(path: Path, parse: Callable[[str], Any], form: str) -> Any:
    try:
        return parse(text_of(path))
    except DanluError:
        raise
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DanluError(f"{path} cannot be read as {form}: {_line(error)}.") from None
    except (RecursionError, MemoryError, OverflowError):
        raise DanluError(f"{path} cannot be read as {form}: it is nested too deeply.") from None


def _opened(path: Path, raw: Any, kind: type[T]) -> tuple[T, str]:
    """A record out of its wrapping."""
    if not isinstance(raw, dict):
        raise DanluError(f"{path} holds {shown(raw)}; expected keys and values.")
    version, digest = raw.pop(VERSION, 1), raw.pop(DIGEST, None)
    if type(version) is not int or not 1 <= version <= FORMAT:
        raise DanluError(
            f"{path}: {VERSION} is {shown(version)}; this version of danlu reads 1 to {FORMAT}."
        )
    whole = version == 1 or digest == _digest({VERSION: version, **raw})
    record = typed(raw if version == FORMAT else renamed(raw), kind, str(path))
    return record, "" if whole else f"{path} has been edited or damaged since danlu wrote it."


def _row(path: Path, number: int, line: str, kind: type[T]) -> T:
    where = f"{path}, line {number}"
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError):
        raise DanluError(f"{where} is no JSON.") from None
    if isinstance(raw, dict) and DIGEST in raw and raw.pop(DIGEST) != _digest(raw):
        raise DanluError(f"{where} is not what was written.")
    return typed(raw, kind, where)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _digest(raw: Mapping[str, Any]) -> str:
    """Of plain data, whatever the order of its keys and however it is written."""
    try:
        text = json.dumps(raw, sort_keys=True)
    except (TypeError, ValueError):  # keys of several types have no order
        return ""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@cache
def _adapter(kind: Any) -> Any:
    """What reads a type; in a list, since a dataclass alone takes no configuration."""
    from pydantic import ConfigDict, TypeAdapter

    several: Any = list[kind]  # pyright: ignore[reportInvalidTypeForm]
    return TypeAdapter(several, config=ConfigDict(extra="forbid", strict=True))


def _told(error: Mapping[str, Any]) -> str:
    """A validation error in words."""
    parts = map(str, error["loc"][1:])
    key = ".".join(part if part.isprintable() else repr(part) for part in parts)[:SHOWN]
    key = key or "the whole"
    match error["type"]:
        case "missing" | "missing_argument":
            return f"{key} is missing."
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"{key} is {shown(error['input'])}, but there is no such key."
        case "value_error":
            return f"{key}: {error['ctx']['error']}"
    wanted = error["msg"].removeprefix("Input should be ")
    wanted = {"a valid integer": "a whole number", "an object": "keys and values"}.get(
        wanted, wanted.removeprefix("a valid ")
    )
    return f"{key} is {shown(error['input'])}; expected {wanted}."


def _line(error: BaseException) -> str:
    """The first line of an error's own text."""
    first = next(iter(str(error).splitlines()), "") or type(error).__name__
    return first.rstrip(".")
