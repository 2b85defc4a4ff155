"""A law: a statement with an oracle, measured as an error that must stay within a tolerance."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from danlu.laws.gaps import largest

Oracle = Literal[
    "closed form",
    "definition",
    "enumeration",
    "quadrature",
    "automatic differentiation",
    "finite differences",
    "independent package",
    "golden value",
    "statistics",
    "contract",
    "self-consistency",
]
"""What a law compares with."""

ORACLES: dict[Oracle, str] = {
    "closed form": "values that mathematics gives in advance",
    "definition": "the source's formula written apart, which calls no part of what it checks",
    "enumeration": "every case, one by one",
    "quadrature": "numerical integration",
    "automatic differentiation": "derivatives by torch",
    "finite differences": "derivatives by small steps",
    "independent package": "another library's answer",
    "golden value": "numbers that stand in the source",
    "statistics": "many draws, whose known moments or chances bound how far they may be",
    "contract": "a promise about shapes, errors, buffers, seeds or order",
    "self-consistency": "another form of the same code, or the same form by another way",
}
"""Each oracle in words."""


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
        slow: measured when all laws are asked for, and not otherwise.
    """

    name: str
    statement: str
    tolerance: float
    measure: Callable[[], float]
    example: Callable[[], str] | None = None
    oracle: Oracle = field(kw_only=True)
    slow: bool = field(default=False, kw_only=True)


Case = tuple[str, Callable[[], float]]
"""An example in words and the error there."""

Cases = Callable[[], Iterable[Case]]
"""Examples from small to large."""


def law_of_cases(
    name: str,
    statement: str,
    tolerance: float,
    cases: Cases,
    oracle: Oracle,
) -> Law:
    """A law that must hold in every case; the first case that fails is its example.

    An exception is a failure too, and its message part of the example.
    """

    def measure() -> float:
        return largest(attempted(run)[0] for _, run in _prepared(cases))

    def example() -> str:
        for words, run in _prepared(cases):
            error, why = attempted(run)
            if not error <= tolerance:
                return f"{words}: {why or f'the error is {error:.3g}'}"
        return "no case fails"

    return Law(name, statement, tolerance, measure, example, oracle=oracle)


def stated(name: str, tolerance: float, run: Callable[[], Any], oracle: Oracle) -> Law:
    """A law whose statement is the docstring of its measure, or of its cases."""
    make = Law if run.__annotations__["return"] is float else law_of_cases
    return make(name, statement_of(run), tolerance, run, oracle=oracle)


def statement_of(run: Callable[..., Any]) -> str:
    """The first line of a docstring as a statement: without its full stop, inside a sentence."""
    said = (run.__doc__ or "").partition("\n")[0].removesuffix(".")
    name = len(said) > 1 and not (said[1].islower() or said[1] == " ")
    return said if name else said[:1].lower() + said[1:]


Row = tuple[str, float, Callable[..., Any]] | tuple[str, str, float, Callable[..., Any]]
"""Name, statement, tolerance, and what gives the error or the cases, whose docstring is the
statement where there is no other."""
Rows = Mapping[Oracle, Sequence[Row]]
"""Rows by their oracle."""


def table(
    rows: Rows, make: Callable[..., Law] = Law, *, prefix: str = "", given: tuple[Any, ...] = ()
) -> list[Law]:
    """The laws of a table, by `Law` or by `law_of_cases`; `given` is what each measure is given."""
    return [
        make(
            prefix + name,
            said[0] if said else statement_of(run),
            limit,
            partial(run, *given) if given else run,
            oracle=oracle,
        )
        for oracle, group in rows.items()
        for name, *said, limit, run in group
    ]


def _prepared(cases: Cases) -> Iterator[Case]:
    """The cases; where preparing the next one fails, a case that fails in the same way."""
    try:
        yield from cases()
    except Exception as problem:  # a user's layer may fail in any way
        yield "before the next example", partial(_again, problem)


def _again(problem: Exception) -> float:
    raise problem


def attempted(measure: Callable[[], float]) -> tuple[float, str]:
    """The error, and what went wrong if it is infinite for that."""
    try:
        error = float(measure())
    except Exception as problem:  # a user's layer may fail in any way
        first = str(problem).strip().partition("\n")[0]
        return math.inf, f"{type(problem).__name__}: {first}"
    return (math.inf, "the result is not finite") if math.isnan(error) else (error, "")
