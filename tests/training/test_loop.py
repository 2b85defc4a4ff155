import math
import time

import pytest
import torch

from danlu.contracts import DanluError, Losses, NonFiniteError, Stage
from danlu.laws.training.small_players import OnePlayer, StopAfter, TwoPlayers, TwoStages, trainer
from danlu.optim import OptimizerOptions
from danlu.training import Budget, Hook, Plan
from danlu.training.checkpoint import load_newest
from danlu.training.weights import snapshot


def weights(run):
    return snapshot(run.model)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Slow(OnePlayer):
    """Takes 10 ms a play."""

    def loss(self, batch, player, progress):
        time.sleep(0.01)
        return super().loss(batch, player, progress)


class Breaks(OnePlayer):
    """Breaks at its sixth play in a way of choice."""

    def __init__(self):
        super().__init__()
        self.way = "term"

    def losses(self, x, player):
        losses = super().losses(x, player)
        if len(self.played) < 6:
            return losses
        if self.way == "term":
            return Losses.of(**losses.parts, penalty=(0.0 * losses.total).log())
        # The square root's derivative is infinite at 0: a finite loss, a gradient that is not.
        return Losses.of(error=losses.total + (0.0 * self.last.bias).abs().sqrt().sum())


@pytest.mark.parametrize(
    ("way", "name"), [("term", "loss term 'penalty'"), ("gradient", "'last.bias'")]
)
def test_not_finite_names_the_culprit_and_keeps_the_last_checkpoint(tmp_path, way, name):
    run = trainer(Breaks, Budget(steps=20), folder=tmp_path, checkpoint_steps=2)
    run.model.way = way
    with pytest.raises(NonFiniteError, match=name) as caught:
        run.run()
    assert "checkpoint of step 4 is kept" in str(caught.value)
    assert all(torch.isfinite(tensor).all() for tensor in weights(run).values())
    saved, notices = load_newest(tmp_path)
    assert saved.meta.total.steps == 4
    assert notices == []


def test_minutes_are_not_overrun_and_hooks_are_not_charged():
    class Sleeps(Hook):
        def on_round(self, trainer, progress):
            time.sleep(0.005)

    run = trainer(Slow, Budget(minutes=0.3 / 60), hooks=[Sleeps()])
    outcome = run.run()
    assert outcome.seconds <= 0.3 + 0.02, "at most about a round too long"
    assert outcome.steps > 5
    assert outcome.hook_seconds >= 0.005 * outcome.steps
    assert outcome.fraction > 0.8


def test_stages_share_the_minutes():
    run = trainer(TwoStages, Budget(minutes=0.4 / 60))
    run.run()
    first, second = run.course.spent
    assert first.seconds == pytest.approx(0.2, abs=0.05)
    assert second.seconds == pytest.approx(0.2, abs=0.05)


def test_a_run_by_minutes_can_be_replayed_bit_for_bit(tmp_path):
    for stop in (3, 10**9):  # interrupted, then gone on with
        timed = trainer(
            TwoStages, Budget(minutes=0.2 / 60), folder=tmp_path / "a", hooks=[StopAfter(stop)]
        )
        timed.run()
    again = trainer(TwoStages, Budget(steps=1), folder=tmp_path / "b", replay=tmp_path / "a")
    assert again.run().steps == sum(part.steps for part in timed.course.spent)
    assert same(weights(timed), weights(again))


def test_only_runs_by_minutes_have_something_to_replay(tmp_path):
    trainer(OnePlayer, Budget(steps=2), folder=tmp_path / "a").run()
    with pytest.raises(DanluError, match="the same --steps"):
        trainer(OnePlayer, Budget(steps=1), replay=tmp_path / "a")


@pytest.mark.parametrize("kind", [OnePlayer, TwoStages])
def test_a_finished_run_goes_on_with_a_larger_budget(tmp_path, kind):
    trainer(kind, Budget(steps=6), folder=tmp_path).run()
    assert trainer(kind, Budget(steps=6), folder=tmp_path).run().steps == 6

    seen = []

    class Fractions(Hook):
        def on_round(self, trainer, progress):
            seen.append((progress.step, progress.fraction))

    run = trainer(kind, Budget(steps=12), folder=tmp_path, hooks=[Fractions()])
    assert run.run().steps == 12
    step, fraction = seen[0]
    total = 12 if kind is OnePlayer else 9  # the first stage keeps its 3
    assert fraction == pytest.approx(step / total)
    assert seen[-1][1] == 1.0


def test_micro_batches_train_alike():
    plan = {"batch": 8, "optimizers": {"default": OptimizerOptions(name="sgd", rate=0.1)}}
    runs = [
        trainer(OnePlayer, Budget(steps=5), plan=Plan(micro_batches=parts, **plan))
        for parts in (1, 3)
    ]
    for run in runs:
        run.run()
    a, b = map(weights, runs)
    assert all(torch.allclose(a[name], b[name], rtol=0, atol=1e-12) for name in a if name != "n")


def test_gradients_are_clipped_to_the_norm():
    sgd = OptimizerOptions(
        name="sgd", rate=1.0, betas=(0.0, 0.0), weight_decay=0.0, warmup=0.0, schedule="constant"
    )
    plan = Plan(batch=8, max_grad_norm=1e-3, optimizers={"default": sgd})
    run = trainer(OnePlayer, Budget(steps=5), plan=plan)
    run.begin()
    before = weights(run)
    run.round()
    after = weights(run)
    after["count"] = before["count"]
    moved = sum((after[name] - before[name]).square().sum().item() for name in before)
    norm = run.course.active.learners["model"].norm
    assert norm > 0.1
    assert math.sqrt(moved) == pytest.approx(1e-3 * norm / (norm + 1e-6), rel=1e-9)


def test_surroundings_are_restored():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    run = trainer(TwoStages, Budget(steps=4))
    run.run()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert all(parameter.requires_grad for parameter in run.model.parameters())


def test_averaged_weights_are_lent_and_can_be_kept():
    run = trainer(TwoPlayers, Budget(steps=8))
    run.run()
    raw = weights(run)
    with run.averaged() as model:
        assert not model.training
        lent = snapshot(model)
    assert run.model.training
    assert same(raw, weights(run))
    assert not torch.equal(raw["last.weight"], lent["last.weight"])
    assert torch.equal(raw["critic.0.weight"], lent["critic.0.weight"]), (
        "the critic is not averaged"
    )
    run.keep_averages()
    assert same(lent, weights(run))


class Finishes(OnePlayer):
    """Puts the number of examples it is shown at the end in a buffer."""

    def finish(self, batches):
        self.count.fill_(sum(len(batch) for batch in batches))


def test_last_touches_are_on_the_averages_only(tmp_path):
    run = trainer(Finishes, Budget(steps=4), folder=tmp_path)
    run.run()
    saved, _ = load_newest(tmp_path)
    assert saved.model["count"] == 4
    assert saved.average["count"] == 400
    with run.averaged() as model:
        assert model.count == 400
    assert run.model.count == 4
    again = trainer(Finishes, Budget(steps=4), folder=tmp_path)
    assert again.run().steps == 4
    with again.averaged() as model:
        assert model.count == 400


class Starts(OnePlayer):
    """Counts its starts."""

    starts = 0

    def start(self, batch):
        Starts.starts += 1


def test_start_is_called_once(tmp_path):
    for stop in (2, 4):
        trainer(Starts, Budget(steps=4), folder=tmp_path, hooks=[StopAfter(stop)]).run()
    assert Starts.starts == 1


def test_prepared_data_is_kept_for_a_resume(tmp_path):
    for stop in (8, 12):
        run = trainer(TwoStages, Budget(steps=12), folder=tmp_path, hooks=[StopAfter(stop)])
        run.run()
    assert run.model.prepared == 0
    straight = trainer(TwoStages, Budget(steps=12))
    straight.run()
    assert straight.model.prepared == 1
    assert same(weights(run), weights(straight))


def test_lost_prepared_data_is_made_again(tmp_path):
    trainer(TwoStages, Budget(steps=12), folder=tmp_path, hooks=[StopAfter(8)]).run()
    (tmp_path / "prepared" / "prior.safetensors").unlink()
    run = trainer(TwoStages, Budget(steps=12), folder=tmp_path)
    assert "made again" in run.run().notices[0]
    straight = trainer(TwoStages, Budget(steps=12))
    straight.run()
    assert same(weights(run), weights(straight))


def test_another_seed_is_refused(tmp_path):
    trainer(OnePlayer, Budget(steps=2), folder=tmp_path).run()
    with pytest.raises(DanluError, match="begun with seed"):
        trainer(OnePlayer, Budget(steps=4), folder=tmp_path, seed=8).run()


@pytest.mark.parametrize(
    ("stages", "match"),
    [
        ([Stage(name="a", share=0.5, plays=())], "sum to 0.5"),
        ([Stage(name="a", share=1.0, plays=())], "no plays"),
    ],
)
def test_stages_must_make_sense(stages, match):
    class Odd(OnePlayer):
        def stages(self):
            return stages

    with pytest.raises(DanluError, match=match):
        trainer(Odd, Budget(steps=2))


def test_unknown_names_get_the_nearest_one():
    class Misspelt(TwoPlayers):
        def players(self):
            return {"critic": [self.critic], "gen": [self.network]}

    with pytest.raises(DanluError, match="'generator', which is no player"):
        trainer(Misspelt, Budget(steps=2))
    plan = Plan(batch=8, optimizers={"default": OptimizerOptions(name="adamwx")})
    with pytest.raises(DanluError, match="did you mean 'adamw'"):
        trainer(OnePlayer, Budget(steps=2), plan=plan).run()
