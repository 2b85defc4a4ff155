"""How a race spends its minutes, and how repeats become one row."""

import math
import statistics

import pytest

from danlu.evaluation.results import EvidenceRow, Measured, Row, RowKind
from danlu.measuring import planning
from danlu.measuring.planning import Clock, allot, first_split, sample_count
from danlu.races.repeats import merged

COSTS = [1e-4, 2e-4, 5e-3]


@pytest.fixture
def clock(monkeypatch):
    """A clock of 200 seconds, 40 of which are over."""
    now = [0.0]
    monkeypatch.setattr(planning, "monotonic", lambda: now[0])
    clock = Clock(200.0)
    now[0] = 40.0
    return clock


@pytest.mark.parametrize("runs", [1, 3, 6])
@pytest.mark.parametrize("scoring", [0.1, 5.0])
def test_what_is_planned_fits_into_what_is_left(clock, runs, scoring):
    costs = (COSTS * runs)[:runs]
    samples = sample_count(costs, clock.seconds)
    plan = allot(clock, costs, samples=samples, scoring=scoring)
    assert sum(plan.parts.values()) <= clock.left
    assert runs * plan.training * (1 + planning.SHARE) <= plan.parts["training"]
    assert plan.training > 0.2 * clock.left / runs


def test_training_gets_a_part_even_when_nothing_is_left(clock):
    plan = allot(clock, COSTS, samples=1000, scoring=500.0)
    assert plan.parts["training"] == pytest.approx(planning.LEAST_TRAINING * clock.left)


def test_slow_samplers_give_fewer_samples_but_never_too_few():
    assert sample_count([1e-6], 100.0) == planning.MOST_SAMPLES
    assert sample_count([0.05], 100.0) == 300
    assert sample_count([10.0], 100.0) == planning.LEAST_SAMPLES


def test_the_first_split_is_of_the_whole_time():
    split = first_split(240.0, 12.0)
    assert split["features"] == 12.0
    assert 0.9 * 240 < sum(split.values()) <= 240


def test_a_part_that_is_over_keeps_its_plan(clock):
    clock.plan({"a": 3.0, "b": 4.0})
    with clock.part("a"):
        pass
    clock.plan({"a": 30.0, "b": 40.0})
    assert [planned for planned, _ in clock.split().values()] == [3.0, 40.0]


def row(value, *, failure=""):
    evidence = EvidenceRow(Measured(-value, 0.1), None, "lower", "counting", "none", 1, 10)
    metrics = {} if failure else {"kid": Measured(value, 0.01)}
    return Row("vae", RowKind.MODEL, metrics=metrics, evidence=evidence, failure=failure, steps=4)


def test_seeds_become_a_mean_with_its_standard_error():
    values = [1.0, 2.0, 4.5]
    found = merged([row(value) for value in values])
    assert found.metrics["kid"].value == pytest.approx(statistics.mean(values))
    assert found.metrics["kid"].stderr == pytest.approx(statistics.stdev(values) / 3**0.5)
    assert found.evidence.nats.value == pytest.approx(-statistics.mean(values))
    assert found.seeds == 3


def test_a_seed_that_failed_is_left_out_and_counted_out():
    found = merged([row(1.0), row(0.0, failure="NaN"), row(2.0)])
    assert (found.metrics["kid"].value, found.seeds, found.failure) == (1.5, 2, "")
    assert merged([row(0.0, failure="NaN")] * 2).failure == "NaN"


def test_one_seed_keeps_the_error_within_the_run():
    assert merged([row(1.0)]).metrics["kid"] == Measured(1.0, 0.01)


def test_decisions_take_the_larger_of_both_errors():
    near = merged([row(value) for value in (1.0, 1.0, 1.0)]).metrics["kid"]
    assert (near.over_seeds, near.sampling, near.stderr) == pytest.approx((0.0, 0.01, 0.01))
    far = merged([row(value) for value in (1.0, 2.0, 3.0)]).metrics["kid"]
    assert far.stderr == far.over_seeds > far.sampling


def test_without_a_limit_every_part_takes_what_it_needs():
    clock = Clock(math.inf)
    plan = allot(clock, COSTS, samples=sample_count(COSTS, math.inf), scoring=1.0)
    assert (plan.samples, plan.points, plan.efforts) == (1000, 200, 200)
    assert math.isinf(plan.training)
    assert all(math.isfinite(seconds) for seconds in plan.parts.values())


def test_a_clock_goes_back_to_what_was_kept(clock):
    clock.used = {"training": 30.0, "yardsticks": 10.0}
    clock.rewind(30.0, {"training": 30.0})
    assert (clock.elapsed, clock.left, clock.used) == (30.0, 170.0, {"training": 30.0})
