import pytest

from danlu.contracts import DanluError
from danlu.training import Budget, Plan
from danlu.training.budget import ReplayClock, Spent, StepClock, TimeClock


@pytest.mark.parametrize(
    "wrong", [{}, {"minutes": 1.0, "steps": 2}, {"steps": 0}, {"minutes": -1.0}]
)
def test_a_budget_is_one_positive_amount(wrong):
    with pytest.raises(DanluError):
        Budget(**wrong)


def test_shares_of_steps_use_the_whole_budget():
    budget, before, totals = Budget(steps=10), Spent(), []
    for shares in ([0.25, 0.25, 0.5], [0.25, 0.5], [0.5]):
        clock = budget.clock(shares, before)
        totals.append(clock.total)
        before += Spent(clock.total, 0.0)
    assert sum(totals) == 10
    assert totals == [2, 3, 5]


def test_every_stage_has_a_step_however_short_the_budget():
    shares = [0.01, 0.98, 0.01]
    for steps in (3, 4, 10):
        before, totals = Spent(), []
        for stage in range(3):
            clock = Budget(steps=steps).clock(shares[stage:], before)
            totals.append(clock.total)
            before += Spent(clock.total, 0.0)
        assert totals == [1, steps - 2, 1]
    with pytest.raises(DanluError, match="steps=2 is too short: each of the 3 stages"):
        Budget(steps=2).clock(shares, Spent())
    assert Budget(steps=2).clock([1.0], Spent(5, 0.0)).total == 1, "the budget was cut on resume"


def test_a_stage_that_overran_takes_from_the_later_ones():
    clock = Budget(minutes=1.0).clock([0.2, 0.2], Spent(7, 40.0))
    assert clock.total == pytest.approx(10.0)


def test_time_ends_before_the_round_that_does_not_fit():
    clock = TimeClock(10.0)
    assert not clock.over(Spent(3, 9.0), 1.0)
    assert clock.over(Spent(3, 9.0), 1.1)
    assert not clock.over(Spent(0, 11.0), 0.0), "a stage takes one step in any case"
    assert clock.fraction(Spent(3, 5.0)) == 0.5
    assert clock.fraction(Spent(3, 50.0)) == 1.0
    assert clock.seconds_left(Spent(3, 4.0), 1.0) == 6.0


def test_steps_and_replays_end_where_they_should():
    assert StepClock(4).over(Spent(4, 0.0), 0.0)
    assert StepClock(4).seconds_left(Spent(1, 9.0), 0.5) == 1.5
    replay = ReplayClock([0.0, 0.3])
    assert [replay.fraction(Spent(step, 0.0)) for step in range(3)] == [0.0, 0.3, 1.0]
    assert replay.over(Spent(2, 0.0), 0.0)
    assert not replay.over(Spent(1, 1e9), 1e9)


def test_a_plan_that_cannot_work_is_refused():
    with pytest.raises(DanluError, match="in 5 parts"):
        Plan(batch=4, micro_batches=5)
    with pytest.raises(DanluError, match="max_grad_norm"):
        Plan(batch=4, max_grad_norm=0.0)
