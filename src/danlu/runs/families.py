"""Names to builders of families: the library's table, and classes that a caller passes in.

A foreign family is a row of `FAMILIES` added at run time, or an entry of `classes`: a `Method`, or
anything that is called with `(description, **settings)`. No name is ever imported.
"""

from collections.abc import Callable, Mapping
from typing import Any

from danlu.contracts import DanluError, DataKind, Method, unknown
from danlu.generative import FAMILIES
from danlu.generative.base import GenerativeModel
from danlu.generative.recipe import Family

Builder = Callable[..., GenerativeModel]
Classes = Mapping[str, Any] | None
"""Foreign families by name."""


def learns_text(family: str) -> bool:
    """Whether what a family is given is taken for text."""
    return family in learners(DataKind.TEXT)


def learners(kind: DataKind) -> list[str]:
    """The families that learn a kind of data."""
    return [name for name, row in FAMILIES.items() if isinstance(row, Family) and kind in row.kinds]


def builder_of(family: str, classes: Classes = None) -> Builder:
    """What builds a family's models.

    Raises:
        DanluError: nobody knows the name; the nearest known one is offered.
    """
    known = {**FAMILIES, **(classes or {})}
    if family not in known and ":" in family:
        raise DanluError(
            f"{family} is a family of your own: pass its class, classes={{{family!r}: ...}}, "
            f"or on the command line --family {family}."
        )
    if family not in known:
        raise unknown("family", family, known)
    found = known[family]
    return found.build if isinstance(found, Method) else found
