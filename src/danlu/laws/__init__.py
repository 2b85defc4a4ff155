"""The laws of the library: every identity with its oracle, measured on the machine at hand.

The tree mirrors the library: a room of laws for each room, and a row is a law by standing in a
list `LAWS` of any module. The test suite and `danlu check` run the same rows.

`danlu.check` takes nothing, the name of a room or a method, or a class of one's own, which must
obey the laws of every family.
"""

import re
from collections.abc import Callable
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

from danlu.contracts import unknown
from danlu.laws.law import Law
from danlu.laws.measuring import Checked, measured, measured_together
from danlu.laws.own import chosen_family, chosen_mixer, chosen_solver

__all__ = ["LAWS", "Checked", "check", "laws", "laws_of", "measured", "measured_together"]


def _discovered() -> list[Law]:
    """The rows `LAWS` of every module of the tree, in its order.

    A row that one module takes over from another counts once; two rows of one name are a mistake.
    """
    found: dict[str, Law] = {}
    for module in walk_packages(__path__, f"{__name__}."):
        for law in getattr(import_module(module.name), "LAWS", ()):
            assert found.setdefault(law.name, law) is law, f"two laws have the name {law.name}"
    return list(found.values())


LAWS: list[Law] = _discovered()
"""Every law of the library."""


def laws() -> list[Law]:
    """Every law of the library."""
    return LAWS


def laws_of(name: str | None = None) -> list[Law]:
    """The laws of a room, or those whose names have a method's name in them; all without a name.

    Raises:
        DanluError: no law has the name.
    """
    if name is None:
        return LAWS
    word = re.compile(rf"(^|[/ -]){re.escape(name)}($|[/ -])")
    found = [law for law in LAWS if word.search(law.name)]
    if not found:
        known = {part for law in LAWS for part in law.name.split("/")}
        raise unknown("law, room or method", name, known)
    return found


def chosen(target: str | Callable[..., Any] | None = None) -> list[Law]:
    """The laws of a target; see `check`."""
    if target is None or isinstance(target, str):
        return laws_of(target)
    return chosen_family(target)


def check(target: str | Callable[..., Any] | None = None) -> list[Checked]:
    """Measure laws: all, those of a room or method by name, or the family laws on a class.

    Args:
        target: None, a name such as `vae`, or a class or builder that is called with a data
            description and gives a `GenerativeModel`.

    Raises:
        DanluError: no law has the name.
    """
    return list(measured(chosen(target)))


def check_mixer(target: Callable[..., Any]) -> list[Checked]:
    """Measure the laws of token mixers on one's own; a row's `example` is the smallest failure.

    Args:
        target: a `Mixer` class or builder, called without arguments or, where it needs one, with
            a width.

    Raises:
        DanluError: the target makes no `Mixer`.
    """
    return list(measured(chosen_mixer(target)))


def check_solver(target: Any) -> list[Checked]:
    """Measure, on exact denoisers, the laws that a solver of one's own must obey.

    Args:
        target: a `Solver`, or a class or builder that makes one without arguments.

    Raises:
        DanluError: the target makes no `Solver`.
    """
    return list(measured(chosen_solver(target)))


check.solver = check_solver  # pyright: ignore[reportFunctionMemberAccess]
check.mixer = check_mixer  # pyright: ignore[reportFunctionMemberAccess]
