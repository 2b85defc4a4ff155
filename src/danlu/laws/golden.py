"""Laws of published constants: what the code computes, beside the number that a source prints."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from danlu.laws.gaps import relative_gap
from danlu.laws.law import Law, law_of_cases

Row = tuple[str, Callable[[], Any], Any]
"""What it is and where it stands; how the code comes to it; what the source says."""


def golden_law(name: str, statement: str, rows: Sequence[Row], tolerance: float = 1e-12) -> Law:
    """A law that every row of a table of constants must obey, relative to each constant's size."""
    cases = [(about, partial(_gap, found, expected)) for about, found, expected in rows]
    return law_of_cases(name, statement, tolerance, lambda: cases, oracle="golden value")


def _gap(found: Callable[[], Any], expected: Any) -> float:
    return relative_gap(found(), expected)
