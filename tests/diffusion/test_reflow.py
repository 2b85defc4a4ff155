"""Reflow and distillation: pairs, stages, resume and what is refused, beside the laws."""

import pytest
import torch

from danlu.contracts import Batch, CapabilityError, DanluError, Progress
from danlu.contracts.noise import BatchNoise, ItemNoise
from danlu.data import Examples, ExampleStream
from danlu.generative.diffusion import distilled, reflow
from danlu.generative.diffusion.reflow import ReflowOptions, affordable, paired, unconditional
from danlu.generative.diffusion.straightness import straightness
from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu.laws.training.small_players import StopAfter
from danlu.training import Budget, Plan, Policy, Trainer, TrainingRun
from danlu.training.prepared import recall

N = 24


def stream():
    values = torch.randint(4, (N, 1, 4, 4), dtype=torch.uint8)
    return ExampleStream(Examples(values, torch.arange(N) % 3, TINY), TINY, batch=8, seed=0)


def made(model, seed=0):
    data = stream()
    torch.manual_seed(seed)
    return next(paired(model.eval(), data).once(1000))


def perturbed(model):
    torch.manual_seed(1)
    torch.nn.init.normal_(model.network.body.leave.weight, std=0.05)
    return model


@pytest.mark.parametrize("pairs", [7, N, 60])
def test_pairs_keep_their_noise_classes_and_seed(pairs):
    model = perturbed(reflow.build(pairs=pairs))
    batch, again = made(model), made(model)
    assert batch.x.shape == (pairs, 1, 4, 4)
    assert torch.equal(batch.x, again.x)
    assert torch.equal(batch.condition.ids, (torch.arange(pairs) * N // pairs) % 3)
    x, z = batch.x, batch.extra["noise"]
    told = batch.condition.only(~unconditional(batch.index))
    assert torch.allclose(model.carried(z, told), x, atol=1e-6)
    torch.manual_seed(0)
    seed = int(torch.randint(2**62, ()))
    assert torch.equal(z, ItemNoise(seed, range(pairs)).normal(1, 4, 4))
    assert not torch.equal(made(model, seed=1).x, batch.x)


def test_stages_play_one_network_by_turns():
    for model, names in (
        (reflow.build(share=0.6), ["flow", "reflow"]),
        (distilled.build(share=0.6), ["flow", "reflow", "distil"]),
    ):
        stages = model.stages()
        assert [stage.name for stage in stages] == names == list(model.players())
        assert sum(stage.share for stage in stages) == pytest.approx(1.0)
        assert stages[0].prepare is None
        assert all(stage.prepare.func is paired for stage in stages[1:])
    with pytest.raises(DanluError, match="between 0 and 1"):
        reflow.build(share=1.0)
    with pytest.raises(DanluError, match="at least one pair"):
        reflow.build(pairs=0)


@pytest.mark.parametrize(
    ("taken", "share", "expected"),
    [
        (0, 1.0, 4096),
        (256, 0.75, 192),
        (3 * 256, 1.0, 256),
        (40_000, 1.0, 1000),
        (10**6, 1.0, 4096),
    ],
)
def test_pairs_follow_the_budget(taken, share, expected):
    assert affordable(4096, taken, share) == expected


@pytest.mark.parametrize(("steps", "made"), [(3, [6, 7]), (9, [24, 21])])
def test_short_runs_make_few_pairs(tmp_path, steps, made):
    """A run of three steps made thousands of pairs twice."""
    model, run = distilled.build(pairs=4096), TrainingRun(folder=tmp_path, seed=0, policy=Policy())
    Trainer(model, stream(), Plan(batch=8), Budget(steps=steps), run=run).run()
    for name, count in zip(("reflow", "distil"), made, strict=True):
        assert len(recall(tmp_path, name, stream()).once(10_000).__next__()) == count


@pytest.mark.parametrize("build", [reflow.build, distilled.build])
def test_a_resumed_run_ends_in_the_same_bits(tmp_path, build):
    def run(folder, stop=None):
        torch.manual_seed(0)
        hooks = [] if stop is None else [StopAfter(stop)]
        setting = TrainingRun(folder=folder, seed=0, hooks=hooks, policy=Policy())
        trainer = Trainer(build(), stream(), Plan(batch=8), Budget(steps=9), run=setting)
        assert trainer.run().interrupted == (stop is not None)
        return trainer.model.state_dict()

    def prepared():
        return {path.name: path.read_bytes() for path in (tmp_path / "b/prepared").iterdir()}

    straight = run(tmp_path / "a")
    run(tmp_path / "b", stop=6)
    kept = prepared()
    assert list(kept) == ["reflow.safetensors"]
    resumed = run(tmp_path / "b")
    assert all(torch.equal(resumed[name], weights) for name, weights in straight.items())
    assert kept.items() <= prepared().items()


def test_the_last_stage_learns_at_the_noise_alone():
    model = distilled.build()
    draws = BatchNoise(16)
    assert (model.pair_times("distil", draws) == 1).all()
    assert model.pair_times("reflow", draws).unique().numel() == 16


def test_the_sample_of_a_distilled_flow_is_one_step():
    model = perturbed(distilled.build(TINY_VECTOR)).double()
    calls = []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    x = model.sample(4, seed=3)
    assert len(calls) == 1 == model.sampling_evaluations(model.Options())
    z = ItemNoise(3, range(4), dtype=torch.float64).normal(2)
    assert torch.allclose(x, z - model.value(z, torch.ones(4).double(), None))
    with pytest.raises(CapabilityError, match="reflow"):
        model.encode(x)


def test_what_needs_a_score_is_refused():
    model = reflow.build()
    for options in (ReflowOptions(solver="ancestral"), ReflowOptions(solver="dpm-sde")):
        with pytest.raises(DanluError, match="has no score"):
            model.sample(1, condition=0, options=options)
    with pytest.raises(DanluError, match="has no score"):
        model.log_prob(torch.zeros(1, 1, 4, 4), options=ReflowOptions(likelihood="bound"))


@pytest.mark.long
def test_reflow_straightens_a_mixture():
    """A small network on eight modes of the plane: one more stage halves the bend at least."""
    torch.manual_seed(0)
    angle = torch.arange(4096) % 8 * (torch.pi / 4)
    centres = 2 * torch.stack([angle.cos(), angle.sin()], 1)
    data = ExampleStream(
        Examples(centres + 0.1 * torch.randn(4096, 2), None, TINY_VECTOR),
        TINY_VECTOR,
        batch=256,
        seed=0,
    )
    model = reflow.build(TINY_VECTOR, width=64, blocks=2, pairs=4096, share=0.5)
    optimizer, z = torch.optim.Adam(model.parameters(), lr=2e-3), torch.randn(512, 2)
    bends = []
    for player in ("flow", "reflow"):
        batches = data if player == "flow" else paired(model, data)
        for step in range(600):
            optimizer.zero_grad()
            model.loss(next(batches), player, Progress(step, step / 600, step)).total.backward()
            optimizer.step()
        bends.append(straightness(model.drift(None), z, start=0.999))
    assert bends[1] < 0.5 * bends[0]


def test_the_loss_of_a_pair_is_that_of_its_line():
    model = perturbed(reflow.build(TINY_VECTOR)).double()
    x, z = torch.randn(2, 6, 2, dtype=torch.float64)
    batch = Batch(x, None, torch.arange(6), extra={"noise": z})
    torch.manual_seed(0)
    found = model.loss(batch, "reflow", Progress(0, 0.0, 0)).total
    torch.manual_seed(0)
    t = model.pair_times("reflow", BatchNoise(6, dtype=torch.float64))
    line = (1 - t[:, None]) * x + t[:, None] * z
    assert torch.allclose(found, (model.value(line, t, None) - z + x).square().mean())
