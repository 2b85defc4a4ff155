"""Golden values: constants, defaults and starting values beside the source that gives them."""

import inspect
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from danlu.laws.gaps import gap, largest, relative_gap
from danlu.laws.law import Case, Law, law_of_cases

Golden = list[Case]
"""What a source says, and the distance from it."""
Row = tuple[str, Callable[[], Any], Any]
"""What it is and where it stands; how the code comes to it; what the source says."""

DEVIATIONS = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
QUANTILES = torch.special.ndtr(DEVIATIONS)
"""Even numbers at which a standard normal is -1, 0 and 1."""


def doubles(*values: float) -> Tensor:
    """The values in float64."""
    return torch.tensor(values, dtype=torch.float64)


def golden_law(name: str, statement: str, rows: Sequence[Row], tolerance: float = 1e-12) -> Law:
    """A law that every row of a table of constants must obey, relative to each constant's size."""
    cases = [(about, partial(_relative, found, expected)) for about, found, expected in rows]
    return law_of_cases(name, statement, tolerance, lambda: cases, oracle="golden value")


def _relative(found: Callable[[], Any], expected: Any) -> float:
    return relative_gap(found(), expected)


def constants(name: str, cases: Callable[[], Golden], *, tolerance: float = 1e-9) -> Law:
    """The law of a method whose constants stand in its sources."""
    said = "its constants and starting values are those of its sources"
    return law_of_cases(f"{name}/constants", said, tolerance, cases, "golden value")


def golden(source: str, found: Any, value: Any) -> Case:
    """A value beside the source that prints it."""
    return source, partial(_apart, found, value)


def _apart(found: Any, value: Any) -> float:
    return gap(_plain(found), _plain(value))


def _plain(value: Any) -> Tensor:
    if isinstance(value, list | tuple):
        return torch.stack([_plain(each) for each in value])
    return torch.as_tensor(value).detach().double()


def defaults(source: str, target: Callable[..., Any], **expected: Any) -> Case:
    """The defaults of a builder, which published settings and saved runs rely on."""

    def error() -> float:
        known = inspect.signature(target).parameters
        given = {name: parameter.default for name, parameter in known.items()}
        return float(sum(given[name] != value for name, value in expected.items()))

    return f"{target.__qualname__}: {source}", error


def uniform(source: str, found: Any, low: float, high: float) -> Case:
    """Draws that fill an interval, to a fiftieth of it, and do not leave it."""

    def error() -> float:
        least, most = found.detach().min().item(), found.detach().max().item()
        outside = largest(low - least, least - low - (high - low) / 50)
        return largest(0.0, outside, most - high, high - (high - low) / 50 - most)

    return source, error


def normal(source: str, found: Any, spread: float, mean: float = 0.0) -> Case:
    """Normal draws whose mean and spread are within six standard errors."""

    def error() -> float:
        values = found.detach().double().flatten()
        allowed = 6 * spread / math.sqrt(len(values))
        off = largest(
            gap(values.mean().item(), mean), math.sqrt(2) * gap(values.std().item(), spread)
        )
        # Not uniform: a tenth of normal draws lie beyond 1.645 deviations.
        tail = ((values - mean).abs() > 1.645 * spread).double().mean().item()
        return largest(0.0, off - allowed, gap(tail, 0.1) - 6 * math.sqrt(0.09 / len(values)))

    return source, error
