"""What a figure means, for people: its title, direction, unit, meaning and noise.

The words come from the table `METRICS`; a key may carry its feature space, as in
`frechet@classifier`.
"""

import math
from dataclasses import dataclass

from danlu.evaluation.metrics import METRICS
from danlu.evaluation.results import Measured, Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """The words behind one key of `Row.metrics`."""

    title: str
    measures: str = ""
    better: str = ""  # "lower", "higher" or "nearest to 1"
    unit: str = ""
    noise: str = ""
    space: str = ""

    @property
    def direction(self) -> str:
        """Which way is better, in words."""
        return f"{self.better} is better" if self.better else ""

    def badness(self, value: float) -> float | None:
        """Small for a good value; None when the direction is not known."""
        signs = {"lower": value, "higher": -value, "nearest to 1": abs(value - 1)}
        return signs.get(self.better)


def facts_of(key: str) -> Facts:
    """The facts of a key; the key itself stands in for a metric that the table lacks."""
    base, _, space = key.partition("@")
    if base not in METRICS:
        return Facts(title=base.replace("-", " "), space=space)
    metric = METRICS[base].target
    return Facts(
        title=metric.title,
        measures=metric.measures,
        better=str(metric.better),
        unit=metric.unit,
        noise=metric.noise,
        space=space,
    )


def distance_name(facts: Facts) -> str:
    """The title of a distance inside a sentence: Wasserstein distance, but KID."""
    plain = facts.title.isupper() or "distance" in facts.title
    return facts.title if plain else f"{facts.title} distance"


def order_of(key: str) -> tuple[int, str]:
    """Sort key: the order of the table, unknown keys last."""
    names = list(METRICS)
    base = key.partition("@")[0]
    return (names.index(base) if base in names else len(names), key)


def amount(measured: Measured, facts: Facts) -> str:
    """A figure with its error and unit: two digits of the error decide the digits shown."""
    value, error = digits(measured, facts)
    unit = f" {facts.unit}" if facts.unit else ""
    return f"{value} ± {error}{unit}" if error else f"{value}{unit}"


def lacking(row: Row, key: str) -> str:
    """What a figure that was left out would need, in words; empty where another reason is."""
    needs = row.needs.get(key)
    return "" if needs is None else f"needs {needs} examples"


def digits(measured: Measured, facts: Facts) -> tuple[str, str]:
    """Value and error without unit, shares in percent; the error is empty where none is known."""
    scale = 100.0 if facts.unit == "%" else 1.0
    error = None if measured.stderr is None else measured.stderr * scale
    value, _, error = number(measured.value * scale, error).partition(" ± ")
    return value, error


def number(value: float, error: float | None = None) -> str:
    """A value with as many digits as its error allows; three where no error is known."""
    if not math.isfinite(value):
        return "not finite"
    if error is None or not math.isfinite(error) or error <= 0.0:
        return _rounded(value).replace("-", "−")
    places = min(6, max(0, 1 - math.floor(math.log10(error))))
    return f"{value:,.{places}f} ± {error:,.{places}f}".replace("-", "−")


def _rounded(value: float) -> str:
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.{min(6, max(0, 2 - math.floor(math.log10(size))))}f}"


def duration(seconds: float) -> str:
    """Seconds as a person writes them: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
