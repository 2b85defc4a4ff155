"""A law: a statement with an oracle, measured as an error that must stay within a tolerance."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Law:
    """One checked identity.

    Attributes:
        name: short and unique, `room/what`.
        statement: what must hold, in one line.
        tolerance: largest error at which the law holds.
        measure: computes the error (or the excess over a bound) in float64, seeded.
    """

    name: str
    statement: str
    tolerance: float
    measure: Callable[[], float]
