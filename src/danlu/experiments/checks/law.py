"""A law: a statement with an oracle, measured as an error that must stay within a tolerance."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

Oracle = Literal[
    "closed form",
    "definition",
    "enumeration",
    "quadrature",
    "automatic differentiation",
    "independent package",
    "golden value",
    "statistics",
    "contract",
    "self-consistency",
]
"""What a law compares with. A definition is the source's formula written apart, which calls no part
of what it checks; a golden value stands in the source; statistics are moments of many draws against
their known values; a contract is a promise about shapes, errors, buffers or seeds; self-consistency
compares two forms of the same code."""


@dataclass(frozen=True, slots=True)
class Law:
    """One checked identity.

    Attributes:
        name: short and unique, `room/what`.
        statement: what must hold, in one line.
        tolerance: largest error at which the law holds.
        measure: computes the error (or the excess over a bound) in float64, seeded.
        example: the smallest failing example in words, for laws that are made of cases.
        oracle: what the error is measured against.
    """

    name: str
    statement: str
    tolerance: float
    measure: Callable[[], float]
    example: Callable[[], str] | None = None
    oracle: Oracle = "self-consistency"


Case = tuple[str, Callable[[], float]]
"""An example in words and the error there."""

Cases = Callable[[], Iterable[Case]]
"""Examples from small to large."""


def law_of_cases(
    name: str,
    statement: str,
    tolerance: float,
    cases: Cases,
    oracle: Oracle = "self-consistency",
) -> Law:
    """A law that must hold in every case; the first case that fails is its example.

    An exception is a failure too, and its message part of the example.
    """

    def measure() -> float:
        return max((_error(case)[0] for case in _prepared(cases)), default=math.inf)

    def example() -> str:
        for case in _prepared(cases):
            error, why = _error(case)
            if not error <= tolerance:
                return f"{case[0]}: {why or f'the error is {error:.3g}'}"
        return "no case fails"

    return Law(name, statement, tolerance, measure, example, oracle)


def _prepared(cases: Cases) -> Iterator[Case]:
    """The cases; where preparing the next one fails, a case that fails in the same way."""
    try:
        yield from cases()
    except Exception as problem:  # a user's layer may fail in any way
        yield "before the next example", partial(_again, problem)


def _again(problem: Exception) -> float:
    raise problem


def _error(case: Case) -> tuple[float, str]:
    try:
        error = case[1]()
    except Exception as problem:  # a user's layer may fail in any way
        first = str(problem).strip().partition("\n")[0]
        return math.inf, f"{type(problem).__name__}: {first}"
    return (math.inf, "the result is not finite") if math.isnan(error) else (error, "")
