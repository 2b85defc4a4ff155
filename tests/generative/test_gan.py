import pytest
import torch

from danlu.contracts import Batch, CapabilityError, Condition, DanluError, Player, Progress
from danlu.data import ExampleStream, open_source
from danlu.generative.gan.gan import build
from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu.losses import DIVERGENCES
from danlu.losses.divergences import slopes
from danlu.optim import OptimizerOptions
from danlu.training import Budget, Plan, Trainer

PROGRESS = Progress(step=0, fraction=0.0, seed=0)


def batch(n=6):
    x = torch.rand(n, 1, 4, 4) * 2 - 1
    return Batch(x, Condition(torch.arange(n) % 3), torch.arange(n))


def test_the_refusal_of_log_prob_names_the_reason_and_an_alternative():
    with pytest.raises(CapabilityError, match=r"GAN has no log_prob: .*use vae or rectified-flow"):
        build().log_prob(batch().x)


def test_an_unknown_divergence_is_answered_with_the_nearest():
    with pytest.raises(DanluError, match="did you mean 'wasserstein-gp'"):
        build(divergence="wasserstein")


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("description", [TINY, TINY_VECTOR], ids=["image", "vector"])
def test_every_divergence_trains_both_players(name, description):
    model = build(description, divergence=name)
    x = torch.randn(6, *description.shape)
    condition = Condition(torch.arange(6) % 3) if description.classes else None
    data = Batch(x, condition, torch.arange(6))
    for player, (module,) in model.players().items():
        losses = model.loss(data, player, PROGRESS)
        losses.total.backward(inputs=list(module.parameters()))
        assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
    assert ("penalty" in model.loss(data, "critic", PROGRESS).parts) == (name != "minimax")


def test_slope_penalties_are_lazy_and_the_gradient_penalty_is_not():
    later = Progress(step=1, fraction=0.0, seed=0)
    assert "penalty" not in build().loss(batch(), "critic", later).parts
    assert "penalty" in build(divergence="wasserstein-gp").loss(batch(), "critic", later).parts


def test_critic_steps_are_the_rows_unless_they_are_set():
    (stage,) = build(divergence="wasserstein-gp").stages()
    assert stage.plays == (Player("critic", 5), Player("generator"))
    (stage,) = build(critic_steps=2).stages()
    assert stage.plays == (Player("critic", 2), Player("generator"))


def test_penalties_are_computed_in_full_precision_under_autocast():
    model = build().eval()
    data = batch()

    def critic(x):
        return model.critic(x, data.condition)

    expected = slopes(critic, (data.x,))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(slopes(critic, (data.x,)), expected)


def test_only_the_generator_is_averaged():
    model = build()
    assert model.averaged() == [model.generator]


def test_samples_stay_in_the_range_of_the_data():
    x = build().sample(20)
    assert TINY.low <= x.min() <= x.max() <= TINY.high


@pytest.mark.long
def test_eight_modes_are_covered():
    source = open_source("eight-gaussians")
    model = build(source.description)
    options = OptimizerOptions(name="adam", rate=1e-3, betas=(0.0, 0.99), weight_decay=0.0)
    plan = Plan(batch=256, optimizers={"default": options})
    stream = ExampleStream(source.training, source.description, batch=256, seed=0)
    trainer = Trainer(model, stream, plan, Budget(steps=1200))
    trainer.run()
    with trainer.averaged():
        x = model.sample(2000)
    nearest = torch.cdist(x, source.modes.float()).min(1)
    assert (nearest.values < 3 * source.mode_scale).float().mean() > 0.6
    # At least a tenth of each mode's share.
    assert torch.bincount(nearest.indices, minlength=8).min() > 25
