"""When a stage ends, and the state in which a model prepares the data of its stages."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from danlu.contracts import DanluError, Player, Stage
from danlu.laws.training.small_players import OnePlayer, StopAfter, TwoStages, trainer
from danlu.training import Budget
from danlu.training.checkpoint import load_newest


def rounds_until_over(seconds, times):
    """Rounds that a stage of so many seconds plays when they take these times."""
    run = trainer(OnePlayer, Budget(minutes=seconds / 60))
    run.begin()
    active = run.course.active
    active.charge(-active.spent.seconds)
    for played, time in enumerate(times):
        if active.over:
            return played, active.spent.seconds
        active.count(time, 8)
    return len(times), active.spent.seconds


@pytest.mark.parametrize("slow", [0, 1, 40, 96])
def test_one_slow_round_does_not_end_a_run_early(slow):
    times = [1.0] * 200
    times[slow] = 30.0
    played, spent = rounds_until_over(130.5, times)
    assert played == 101
    assert spent <= 130.5


def test_after_the_first_round_there_is_one_more_if_time_is_left():
    assert rounds_until_over(10.0, [9.0, 0.6, 0.4, 0.2])[0] == 2
    assert rounds_until_over(10.0, [11.0, 1.0])[0] == 1


def test_the_budget_is_overrun_by_no_more_than_a_round():
    for first in (0.1, 1.0, 3.0):
        assert rounds_until_over(7.5, [first] + [2.0] * 10)[1] <= 7.5 + 2.0


def test_stages_of_a_short_run_all_play():
    class Short(TwoStages):
        def stages(self):
            first, second = super().stages()
            return [replace(first, share=0.1), replace(second, share=0.9)]

    run = trainer(Short, Budget(steps=2))
    run.run()
    assert [spent.steps for spent in run.course.spent] == [1, 1]
    with pytest.raises(DanluError, match="too short"):
        trainer(Short, Budget(steps=1))


class Prepares(OnePlayer):
    """Prepares the data of its only stage, and records in which state."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def stages(self):
        return [replace(stage, prepare=self.prepare) for stage in super().stages()]

    def prepare(self, model, stream):
        state = SimpleNamespace(training=model.training, bias=self.last.bias.detach().clone())
        self.seen.append(state)
        return stream


def test_a_stage_is_prepared_in_evaluation_mode_with_averaged_weights(tmp_path):
    first = trainer(Prepares, Budget(steps=8), folder=tmp_path, hooks=[StopAfter(4)])
    first.run()
    assert [state.training for state in first.model.seen] == [False]
    assert first.model.training

    saved = load_newest(tmp_path)[0]
    again = trainer(Prepares, Budget(steps=8), folder=tmp_path)
    again.begin()
    (state,) = again.model.seen
    assert not state.training
    assert again.model.training
    assert not torch.equal(saved.model["last.bias"], saved.average["last.bias"])
    assert torch.equal(state.bias, saved.average["last.bias"])
    assert torch.equal(again.model.last.bias, saved.model["last.bias"])


class Again(OnePlayer):
    """The same player in two stages, of which the second may carry its optimiser on."""

    carries = True

    def stages(self):
        plays = (Player("model"),)
        return [
            Stage(name="one", share=0.5, plays=plays),
            Stage(name="two", share=0.5, plays=plays, carries=self.carries),
        ]


class Anew(Again):
    carries = False


def adam_steps(run):
    (learner,) = run.course.active.learners.values()
    return {int(state["step"]) for state in learner.optimizer.state.values()}


def test_an_optimiser_is_carried_on_where_the_stage_says_so():
    found = {}
    for kind in (Again, Anew):
        run = trainer(kind, Budget(steps=10))
        run.run()
        found[kind] = adam_steps(run)
    assert found == {Again: {10}, Anew: {5}}


def test_a_carried_optimiser_is_carried_on_by_a_resume(tmp_path):
    whole = trainer(Again, Budget(steps=10))
    whole.run()
    for stop in (7, 10):
        rest = trainer(Again, Budget(steps=10), folder=tmp_path, hooks=[StopAfter(stop)])
        rest.run()
    assert adam_steps(rest) == {10}
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, rest.model.state_dict()[name])


def test_a_stage_that_carries_what_never_played_is_refused():
    class Other(TwoStages):
        def stages(self):
            first, second = super().stages()
            return [first, replace(second, carries=True)]

    with pytest.raises(DanluError, match="no player of it played before"):
        trainer(Other, Budget(steps=4))
