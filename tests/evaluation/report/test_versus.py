"""Two results side by side: pairs, differences with their errors, what cannot be compared."""

from copy import deepcopy
from dataclasses import replace

import pytest

from danlu.evaluation.report.versus import (
    Side,
    difference,
    incomparable,
    pairs,
    reading,
    write_comparison,
)
from danlu.evaluation.results import Measured


@pytest.fixture
def sides(results, tmp_path):
    other = deepcopy(results)
    other.rows[0].metrics["frechet@classifier"] = Measured(4.00, 0.09)
    del other.rows[1]
    return Side("runs/a", tmp_path, results), Side("runs/b", tmp_path, other)


def test_differences_have_the_errors_of_both():
    apart = difference(Measured(3.0, 0.3), Measured(2.0, 0.4))
    assert (apart.value, apart.stderr) == pytest.approx((-1.0, 0.5))
    assert difference(Measured(3.0), Measured(2.0, 0.4)).stderr is None


@pytest.mark.parametrize(
    ("key", "second", "words"),
    [
        ("frechet@classifier", 2.0, "B is better, 7.1 standard errors"),
        ("frechet@classifier", 4.0, "B is worse, 7.1 standard errors"),
        ("frechet@classifier", 3.1, "level, 0.7 standard errors"),
        ("frechet@classifier", 3.0, "the same"),
        ("coverage@classifier", 4.0, "B is better, 7.1 standard errors"),
        ("neighbour-distance", 1.0, "B is better, 14.1 standard errors"),
        ("unknown", 4.0, "differs, 7.1 standard errors"),
    ],
)
def test_the_reading_knows_which_way_is_better(key, second, words):
    assert reading(key, Measured(3.0, 0.1), Measured(second, 0.1)) == words


def test_rows_are_paired_by_name_and_two_lone_models_with_each_other(sides):
    a, b = (side.results for side in sides)
    names = [(first.name, second.name) for first, second in pairs(a, b)]
    assert ("vae", "vae") in names
    assert ("held-out", "held-out") in names
    assert not any("gan" in pair for pair in names)
    a.rows, b.rows = a.rows[:1], [replace(b.rows[1], name="rectified-flow")]
    assert [(x.name, y.name) for x, y in pairs(a, b)] == [("vae", "rectified-flow")]


def test_the_page_shows_figures_samples_settings_and_what_stands_alone(sides, tmp_path):
    changes = [("vae: model.width", "32", "48")]
    path = write_comparison(*sides, changes, tmp_path / "comparison.html")
    source = path.read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "<h1>runs/a against runs/b</h1>" in source
    assert "vae: Fréchet distance 9.87 ± 0.11 in A, 4.000 ± 0.090 in B; B is better, 41.3" in source
    assert "−5.87 ± 0.14" in source
    assert source.count('class="two"') == 7
    assert "vae: model.width" in source
    assert "gan, only in runs/a" in source
    assert "http" not in source


def test_without_neighbours_no_near_copy_is_shown(sides, tmp_path):
    path = write_comparison(*sides, [], tmp_path / "comparison.html", neighbours=False)
    source = path.read_text(encoding="utf-8")
    assert source.count('class="two"') == 5
    assert "both were asked for the same" in source


def test_other_features_and_other_data_are_told_and_have_no_difference(sides, tmp_path):
    b = sides[1].results
    b.data, b.features["classifier"]["hash"] = "fashion-mnist", "another"
    told = incomparable(sides[0].results, b)
    assert "The data differs: digits and fashion-mnist." in told
    assert any("features “classifier” differs" in line for line in told)
    source = write_comparison(*sides, [], tmp_path / "c.html").read_text(encoding="utf-8")
    assert "other features" in source
    assert "B is better" not in source.partition("<main>")[0]
