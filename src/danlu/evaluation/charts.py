"""Curves as inline SVG that follows the colours of the page, light or dark.

Lines are told apart by colour, by dash and by the name at their end; the alternative text gives
where each one starts and ends.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from sys import float_info

from danlu.evaluation.facts import duration, number
from danlu.evaluation.markup import Safe, tag

Point = tuple[float, float]

WIDTH, HEIGHT = 500, 272
LEFT, RIGHT, TOP, BOTTOM = 56, 350, 14, 226  # of the plotted area; names stand to its right
LINE_HEIGHT = 17
LONGEST_NAME = 15
MOST_POINTS = 160
WIDE_RATIO = 20.0  # largest over smallest value from which a positive scale is logarithmic
PERCENT = "%"
STYLES = 6  # line styles of the page's style sheet


@dataclass(frozen=True, kw_only=True, slots=True)
class Along:
    """What lines run along.

    Attributes:
        label: under the axis, and in the alternative text.
        end: how the end of a line is told.
        logarithmic: whether the scale is by ratio, from the first point on.
        dots: whether a single point is shown, as a dot.
    """

    label: str
    end: Callable[[float], str]
    logarithmic: bool = False
    dots: bool = False


SECONDS = Along(label="seconds of training", end=lambda value: f"in {duration(value)}")
EVALUATIONS = Along(
    label="network evaluations for one sample",
    end=lambda value: f"at {value:g}",
    logarithmic=True,
    dots=True,
)


@dataclass(frozen=True, slots=True)
class Series:
    """A named line of (place along the axis, value)."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps [low, high] to [start, end] pixels, evenly or by ratio."""

    low: float
    high: float
    start: int
    end: int
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value, kept inside the area."""
        low, high, value = (self._flat(v) for v in (self.low, self.high, value))
        share = (value - low) / (high - low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Round values inside the range."""
        if not self.logarithmic:
            return list(_even_ticks(self.low, self.high, most))
        highest = min(math.ceil(math.log10(self.high)), float_info.max_10_exp)
        powers = range(math.floor(math.log10(self.low)), highest + 1)
        for digits in ((1, 2, 5), (1, 3), (1,)):
            ticks = [digit * 10.0**power for power in powers for digit in digits]
            ticks = [tick for tick in ticks if self.low <= tick <= self.high]
            if len(ticks) <= most:
                return ticks
        return ticks

    def _flat(self, value: float) -> float:
        return math.log10(max(value, 1e-300)) if self.logarithmic else value


def chart(
    title: str, series: Sequence[Series], unit: str = "", along: Along = SECONDS
) -> Safe | None:
    """Lines against training seconds, or along something else; None without a line of two points.

    Values whose unit is % are shares of 1; their scale is even and goes from 0 to 100.
    """
    factor = 100.0 if unit == PERCENT else 1.0
    lines = [Series(each.name, _thinned(_finite(each.points, factor))) for each in series]
    if not any(len(each.points) > 1 for each in lines):
        return None
    least = 1 if along.dots else 2
    lines = [each for each in lines if len(each.points) >= least]
    first = min(each.points[0][0] for each in lines) if along.logarithmic else 0.0
    last = max(each.points[-1][0] for each in lines) or 1.0
    x = Scale(first, last, LEFT, RIGHT, logarithmic=along.logarithmic)
    y = _value_scale([value for each in lines for _, value in each.points], unit)
    return tag(
        "svg",
        *_frame(x, y, unit, along),
        *(_line(each, index, x, y) for index, each in enumerate(lines)),
        *_names(lines, y),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=_told(title, lines, unit, along),
        class_="chart",
    )


def _value_scale(values: list[float], unit: str) -> Scale:
    """The range of the lines; rare extremes of an even scale run along its edge."""
    if unit == PERCENT:
        return Scale(0.0, 100.0, BOTTOM, TOP)
    low, high = min(values), max(values)
    if low > 0 and high / low > WIDE_RATIO:
        return Scale(low / 1.1, high * 1.1, BOTTOM, TOP, logarithmic=True)
    ordered = sorted(values)
    inner = ordered[len(ordered) // 50], ordered[-1 - len(ordered) // 50]
    if high - low > 3 * (inner[1] - inner[0]) > 0:
        low, high = inner
    margin = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    return Scale(low - margin, high + margin, BOTTOM, TOP)


def _frame(x: Scale, y: Scale, unit: str, along: Along) -> Iterator[Safe]:
    for value in y.ticks(5):
        height = f"{y(value):.1f}"
        yield tag("line", x1=LEFT, x2=RIGHT, y1=height, y2=height, class_="rule")
        shown = f"{value:.4g} {unit}".strip().replace("-", "−")
        yield tag("text", shown, x=LEFT - 8, y=height, dy="0.35em", class_="tick end")
    for value in x.ticks(6):
        place = f"{x(value):.1f}"
        yield tag("line", x1=place, x2=place, y1=BOTTOM, y2=BOTTOM + 4, class_="axis")
        yield tag("text", f"{value:g}", x=place, y=BOTTOM + 20, class_="tick middle")
    yield tag("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="axis")
    middle = (LEFT + RIGHT) / 2
    yield tag("text", along.label, x=middle, y=HEIGHT - 6, class_="tick middle")


def _line(each: Series, index: int, x: Scale, y: Scale) -> Safe:
    if len(each.points) == 1:
        (place, value), style = each.points[0], f"dot dot-{index % STYLES}"
        return tag("circle", cx=f"{x(place):.1f}", cy=f"{y(value):.1f}", r=4.5, class_=style)
    places = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in each.points)
    return tag("polyline", points=places, class_=f"line line-{index % STYLES}")


def _names(lines: list[Series], y: Scale) -> Iterator[Safe]:
    """Each name beside the end of its line, moved apart where they would overlap."""
    ends = sorted((y(each.points[-1][1]), index) for index, each in enumerate(lines))
    places: list[float] = []
    for height, _ in ends:
        places.append(max(height, places[-1] + LINE_HEIGHT if places else height))
    excess = max(0.0, places[-1] - BOTTOM)
    for place, (_, index) in zip(places, ends, strict=True):
        height = f"{place - excess:.1f}"
        yield _mark(lines[index], index, height)
        name = lines[index].name
        short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
        yield tag("text", short, x=RIGHT + 21, y=height, dy="0.35em", class_="name")


def _mark(each: Series, index: int, height: str) -> Safe:
    """The line or the dot before a name."""
    if len(each.points) == 1:
        return tag("circle", cx=RIGHT + 11, cy=height, r=4.5, class_=f"dot dot-{index % STYLES}")
    style = f"line line-{index % STYLES}"
    return tag("line", x1=RIGHT + 5, x2=RIGHT + 17, y1=height, y2=height, class_=style)


def _told(title: str, lines: list[Series], unit: str, along: Along) -> str:
    parts = []
    for each in lines:
        (_, first), (end, last) = each.points[0], each.points[-1]
        verb = "is" if len(each.points) == 1 else f"goes from {number(first)} to"
        parts.append(f"{each.name} {verb} {number(last)}{unit and ' ' + unit} {along.end(end)}")
    return f"Line chart of {title} against {along.label}: {'; '.join(parts)}."


def _finite(points: Sequence[Point], factor: float) -> list[Point]:
    return [(x, factor * y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _thinned(points: list[Point]) -> list[Point]:
    """At most MOST_POINTS points, each the mean of its neighbours; the ends stay."""
    if len(points) <= MOST_POINTS:
        return points
    bounds = [round(i * len(points) / MOST_POINTS) for i in range(MOST_POINTS + 1)]
    groups = [points[a:b] for a, b in pairwise(bounds)]
    means = [(sum(p[0] for p in g) / len(g), sum(p[1] for p in g) / len(g)) for g in groups]
    return [points[0], *means[1:-1], points[-1]]


def _even_ticks(low: float, high: float, most: int) -> Iterator[float]:
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough * 0.999)
    for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        yield round(index * step, 12)
