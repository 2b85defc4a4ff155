import re
from itertools import pairwise

import pytest

from danlu.evaluation.charts import BOTTOM, LEFT, MOST_POINTS, RIGHT, TOP, Series, chart
from danlu.evaluation.facts import duration, number


def points_of(svg):
    return [
        [tuple(map(float, pair.split(","))) for pair in line.split()]
        for line in re.findall(r'points="([^"]+)"', svg)
    ]


def test_lines_run_from_the_first_to_the_last_second_inside_the_area():
    svg = chart("KID", [Series("a", [(0.0, 2.0), (5.0, 1.0), (10.0, 0.0)])])
    (line,) = points_of(svg)
    assert line[0][0] == LEFT
    assert line[-1][0] == RIGHT
    assert line[1][0] == (LEFT + RIGHT) / 2
    assert line[1][1] == pytest.approx((line[0][1] + line[2][1]) / 2, abs=0.1)
    assert TOP <= line[0][1] < line[2][1] <= BOTTOM
    assert "a goes from 2 to 0 in 10 s" in svg


def test_positive_values_over_many_scales_are_drawn_by_ratio():
    svg = chart("loss", [Series("a", [(0.0, 100.0), (1.0, 10.0), (2.0, 1.0)])])
    (line,) = points_of(svg)
    assert line[1][1] == pytest.approx((line[0][1] + line[2][1]) / 2, abs=0.1)


def test_shares_are_percentages_of_the_whole_scale():
    svg = chart("agreement", [Series("a", [(0.0, 0.0), (1.0, 1.0)])], "%")
    assert [height for _, height in points_of(svg)[0]] == [BOTTOM, TOP]
    assert "100 %" in svg


def test_long_lines_are_thinned_and_what_is_not_finite_is_left_out():
    points = [(float(i), float(i % 7)) for i in range(5000)]
    points[17] = (17.0, float("nan"))
    (line,) = points_of(chart("loss", [Series("a", points)]))
    assert len(line) == MOST_POINTS


def test_names_of_lines_that_end_together_do_not_overlap():
    lines = [Series(f"n{i}", [(0.0, 1.0), (1.0, 1.0 + i / 1000)]) for i in range(6)]
    heights = sorted(
        float(y) for y in re.findall(r'y="([\d.]+)" dy="0.35em" class="name"', chart("x", lines))
    )
    assert len(heights) == 6
    assert all(b - a > 15 for a, b in pairwise(heights))
    assert heights[-1] <= BOTTOM


def test_one_point_is_no_curve():
    assert chart("loss", [Series("a", [(0.0, 1.0)]), Series("b", [])]) is None


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-9, 4.2e7])
def test_a_line_that_does_not_move_is_drawn(value):
    svg = chart("loss", [Series("a", [(0.0, value), (1.0, value)])])
    assert all(TOP <= height <= BOTTOM for _, height in points_of(svg)[0])


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (3.14159, None, "3.14"),
        (0.0123456, None, "0.0123"),
        (12345.6, None, "12,346"),
        (-1.5, None, "−1.50"),
        (3.14159, 0.0234, "3.142 ± 0.023"),
        (1234.5, 120.0, "1,234 ± 120"),
        (0.0, 0.0, "0"),
        (float("nan"), 0.1, "not finite"),
    ],
)
def test_the_error_decides_the_digits(value, error, text):
    assert number(value, error) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "0.42 s"),
        (42.4, "42 s"),
        (200.0, "3 min 20 s"),
        (240.0, "4 min"),
        (7500.0, "2 h 5 min"),
    ],
)
def test_durations_are_written_as_people_do(seconds, text):
    assert duration(seconds) == text
