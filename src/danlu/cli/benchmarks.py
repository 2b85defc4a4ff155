"""Finds the benchmarks and studies, which stay in the repository and are no part of the package."""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from danlu.contracts import DanluError

GROUP, PACKAGE = "danlu.benchmarks", "danlu_bench"


def benchmarks() -> Mapping[str, Callable[..., dict[str, Any]]]:
    """Benchmarks by name.

    Raises:
        DanluError: they are not installed here.
    """
    found = offered()
    if not found:
        raise DanluError(
            "Benchmarks and studies come with the repository: clone danlu and "
            "`pip install --editable .` there."
        )
    return found


def offered() -> Mapping[str, Callable[..., dict[str, Any]]]:
    """The same, from the package that names itself as theirs; none where there is no such one."""
    for found in entry_points(group=GROUP):
        try:
            return found.load()
        except ModuleNotFoundError as error:
            if error.name != PACKAGE:
                raise
    return {}
