import warnings

import pytest
import torch

from danlu.contracts import DanluError, DataDescription, DataKind, NonFiniteError
from danlu.data import Examples, open_source
from danlu.evaluation import METRICS
from danlu.evaluation.corruptions import blurred, noisy, yardsticks
from danlu.evaluation.facts import facts_of, lacking
from danlu.evaluation.features.pixels import pixel_space
from danlu.evaluation.features.space import FeatureSpace
from danlu.evaluation.features.untrained import random_space
from danlu.evaluation.metrics.cloud import Cloud
from danlu.evaluation.metrics.metric import Comparison
from danlu.evaluation.reference import Reference
from danlu.evaluation.results import Row, RowKind
from danlu.evaluation.scoring import beyond_reach, metric_of, needed, score


@pytest.fixture(scope="module")
def digits():
    return open_source("digits")


@pytest.fixture(scope="module")
def reference(digits):
    return Reference.of(digits)


@pytest.fixture(scope="module")
def spaces(digits):
    return {"random": random_space(digits), "pixels": pixel_space(digits)}


def _templates(digits):
    """A classifier by class means: exact, and made without training."""
    x, classes = digits.training.x().flatten(1), digits.training.ids
    means = torch.stack([x[classes == c].mean(0) for c in range(10)])

    def classify(features):
        return -torch.cdist(features, means)

    return FeatureSpace(
        "templates", "means", lambda x: x.flatten(1), title="class means", classify=classify
    )


def test_keys_are_metrics_in_spaces(digits, reference, spaces):
    figures = score(digits.validation.x(), digits.validation.ids, reference, spaces)
    assert {key.partition("@")[0] for key in figures} == {
        *("frechet", "kid", "sliced-wasserstein", "precision", "recall", "density", "coverage"),
        *("sharpness", "neighbour-distance"),
    }
    assert {key.partition("@")[2] for key in figures} == {"random", "pixels", ""}
    assert all(metric_of(key) is METRICS[key.partition("@")[0]].target for key in figures)


def test_yardsticks_are_ordered_as_they_must_be(digits, reference, spaces):
    rows = {y.name: score(y.x, y.classes, reference, spaces) for y in yardsticks(digits, 300)}
    floor, copy, mixed, noise, blur = rows.values()
    assert floor["frechet@pixels"].value < 0.1 * blur["frechet@pixels"].value
    assert floor["kid@random"].value < 0.1 * blur["kid@random"].value
    assert floor["coverage@pixels"].value > 0.9 > blur["coverage@pixels"].value
    assert floor["precision@pixels"].value > 0.85
    assert mixed["frechet@pixels"].value > 5 * floor["frechet@pixels"].value
    assert copy["neighbour-distance"].value == 0
    assert floor["neighbour-distance"].value == pytest.approx(1, abs=0.1)
    assert noise["neighbour-distance"].value > 1.05
    assert blur["sharpness"].value < 0.2 < 0.9 < floor["sharpness"].value < 1.1


def test_yardsticks_take_their_kind_and_never_the_reference(digits):
    rows = yardsticks(digits, 200)
    assert [row.kind for row in rows] == [
        RowKind.FLOOR,
        RowKind.TRAIN_COPY,
        RowKind.SANITY,
        RowKind.CORRUPTION,
        RowKind.CORRUPTION,
    ]
    assert [len(row.x) for row in rows] == [200, 200, 200, 300, 300]
    # Each number keeps how often it has each value; the examples are no longer examples.
    copy, mixed = (row.x.flatten(1) for row in rows[1:3])
    assert torch.equal(copy.sort(0).values, mixed.sort(0).values)
    assert not torch.equal(copy, mixed)
    test = {tuple(x) for x in digits.test.x().flatten(1).tolist()}
    assert not test & {tuple(x) for x in rows[0].x.flatten(1).tolist()}
    choosing = yardsticks(digits, 300, split="validation")
    assert {tuple(x) for x in choosing[0].x.flatten(1).tolist()} == test


def test_noise_is_a_tenth_of_the_range_and_blur_a_mean_of_nine():
    description = DataDescription(
        kind=DataKind.IMAGE, shape=(1, 30, 30), levels=3, low=-1.0, high=1.0
    )
    grey = Examples(torch.ones(20, 1, 30, 30, dtype=torch.uint8), None, description)
    assert noisy(grey).std().item() == pytest.approx(0.2, rel=0.02)
    assert torch.equal(noisy(grey), noisy(grey))
    white = Examples(2 * torch.ones(20, 1, 30, 30, dtype=torch.uint8), None, description)
    assert noisy(white).max().item() == 1
    dot = torch.ones(1, 1, 30, 30, dtype=torch.uint8)
    dot[..., 10, 10] = 2
    soft = blurred(Examples(dot, None, description))
    torch.testing.assert_close(soft[0, 0, 9:12, 9:12], torch.full((3, 3), 1 / 9))
    assert soft.sum().item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(blurred(white), white.x())


def test_class_agreement_counts_matches(digits, reference):
    spaces = {"pixels": pixel_space(digits), "templates": _templates(digits)}
    x, classes = digits.validation.x(), digits.validation.ids
    right = score(x, classes, reference, spaces)["class-agreement"].value
    assert 0.85 < right < 1
    wrong = score(x, (classes + 1) % 10, reference, spaces)["class-agreement"].value
    assert wrong < 0.1
    assert "class-agreement" not in score(x, None, reference, spaces)


def test_images_are_clipped_before_any_metric(digits, reference, spaces):
    x = digits.validation.x()
    wild = torch.where(x == 1, torch.full_like(x, 50.0), x)
    assert not torch.equal(wild, x)
    assert score(wild, None, reference, spaces) == score(x, None, reference, spaces)


def test_planar_mixtures_have_their_own_metrics():
    source = open_source("eight-gaussians")
    some = Examples(source.test.x()[:1000], None, source.description)
    reference = Reference(
        some, source.description, modes=source.modes, mode_scale=source.mode_scale
    )
    spaces = {"pixels": pixel_space(source)}
    x = source.validation.x()[:500]
    figures = score(x, None, reference, spaces)
    assert figures["modes-hit"].value == 1
    assert figures["high-quality"].value == pytest.approx(1 - 2.718281828**-4.5, abs=0.02)
    assert "sharpness" not in figures
    half = source.modes[:4].repeat_interleave(50, 0) + 0.01 * torch.randn(200, 2)
    figures = score(half, None, reference, spaces)
    assert figures["modes-hit"].value == 0.5
    assert figures["wasserstein"].value > 0.5
    far = score(half + 100, None, reference, spaces)
    assert far["modes-hit"].value == 0
    assert far["high-quality"].value == 0


def test_bad_samples_are_refused_in_one_line(digits, reference, spaces):
    x = digits.validation.x()
    with pytest.raises(DanluError, match=r"Samples have shape \(8, 8\), the data \(1, 8, 8\)"):
        score(x[:, 0], None, reference, spaces)
    with pytest.raises(DanluError, match="at least one sample"):
        score(x[:0], None, reference, spaces)
    with pytest.raises(DanluError, match="needs the space 'pixels'"):
        score(x, None, reference, {"random": spaces["random"]})
    broken = x.clone()
    broken[3, 0, 0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match="1 of 300 samples"):
        score(broken, None, reference, spaces)


def test_scoring_is_repeatable_and_draws_no_randomness(digits, reference, spaces):
    x = digits.validation.x()
    before = torch.get_rng_state()
    first = score(x, None, reference, spaces)
    assert torch.equal(torch.get_rng_state(), before)
    assert first == score(x, None, Reference.of(digits), spaces)


def test_few_held_out_examples_are_marked(digits, reference):
    assert not reference.reliable
    assert "300 held-out" in reference.notices[0]
    many = Reference.of(open_source("eight-gaussians"))
    assert many.reliable
    assert many.notices == []


def test_without_training_data_there_are_no_neighbours(digits, spaces):
    bare = Reference(digits.test, digits.description)
    assert "neighbour-distance" not in score(digits.validation.x(), None, bare, spaces)


def small(digits, n):
    """A reference of a few held-out examples."""
    few = digits.test.kept(torch.arange(n))
    return Reference(few, digits.description, training=digits.training)


@pytest.mark.parametrize("n", range(1, 8))
@pytest.mark.parametrize("side", ["samples", "held-out", "both"])
def test_few_examples_give_what_they_can(n, side, digits, spaces):
    templates = {**spaces, "templates": _templates(digits)}
    reference = small(digits, 40 if side == "samples" else n)
    rows = torch.arange(40 if side == "held-out" else n)
    asked = (digits.validation.x(rows), digits.validation.classes(rows), reference, templates)
    found, needs = score(*asked), needed(*asked)
    assert not found.keys() & needs.keys()
    assert {key.partition("@")[0] for key in (*found, *needs)} == {
        *("frechet", "kid", "sliced-wasserstein", "precision", "recall", "density", "coverage"),
        *("sharpness", "neighbour-distance", "class-agreement"),
    }
    for key, figure in found.items():
        assert torch.tensor([figure.value, figure.stderr or 0.0]).isfinite().all(), key
        assert metric_of(key).least <= n
    assert all(metric_of(key).least == least > n for key, least in needs.items())


@pytest.mark.parametrize("name", ["frechet", "kid", "precision", "recall", "density", "coverage"])
def test_below_its_least_a_metric_has_no_figure(name, digits):
    """What a metric declares is the truth: with one example fewer it fails or is no number."""
    metric, space = METRICS[name].target(), pixel_space(digits)
    n = metric.least - 1
    reference = small(digits, n)
    x = digits.validation.x(torch.arange(n))
    comparison = Comparison(x, None, reference, space, Cloud(space.features(x)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            figure = metric.measure(comparison)
        except (IndexError, RuntimeError, ZeroDivisionError):
            return
    assert not torch.tensor([figure.value, figure.stderr]).isfinite().all()


def test_what_cannot_be_measured_is_told():
    assert beyond_reach(6) == ""
    line = beyond_reach(3)
    assert line.startswith(
        "3 held-out examples are too few to measure: Precision, Recall (needs 4)"
    )
    assert "Density, Coverage (needs 6)" in line
    row = Row(name="vae", kind=RowKind.MODEL, needs={"kid@pixels": 3})
    assert lacking(row, "kid@pixels") == "needs 3 examples"
    assert lacking(row, "frechet@pixels") == ""
    assert facts_of("kid@pixels").title == "KID"
