"""Every table of the library by the name that a user types, for listing and explaining."""

import inspect
from collections.abc import Mapping

from danlu.catalogue.methods_page import module_of
from danlu.catalogue.rooms import ROOMS, Room
from danlu.contracts import DanluError, Method, unknown
from danlu.laws import laws, laws_of
from danlu.laws.law import Law

ALIASES = {"data": "sources"}
"""Words for a table beside its own name."""

TABLES: Mapping[str, Room] = {room.page.removesuffix(".md"): room for room in ROOMS}


def table(name: str) -> Room:
    """A table by its name.

    Raises:
        DanluError: there is no such table.
    """
    name = ALIASES.get(name, name)
    if name not in TABLES:
        raise unknown("table", name, [*TABLES, *ALIASES])
    return TABLES[name]


def find(name: str) -> list[tuple[Room, Method]]:
    """Every row of that name with the table it stands in.

    Raises:
        DanluError: no table has it.
    """
    rows = [(room, room.table[name]) for room in TABLES.values() if name in room.table]
    if not rows:
        raise unknown("method", name, {each for room in TABLES.values() for each in room.table})
    return rows


def first_line(method: Method) -> str:
    """What a method is, in one line."""
    is_value = not hasattr(method.target, "__name__")  # its class says nothing about this row
    text = method.about or inspect.getdoc(module_of(method) if is_value else method.target)
    return (text or "").partition("\n")[0]


def explanation(method: Method) -> str:
    """The method's page: idea, formula, sources."""
    return inspect.getdoc(module_of(method)) or ""


def laws_for(room: Room, name: str) -> list[Law]:
    """The laws that check a method: those that name it, else those of its table."""
    try:
        return laws_of(name)
    except DanluError:
        return [law for law in laws() if law.name.partition("/")[0] in room.laws]
