from dataclasses import replace

import pytest
import torch

from danlu.contracts import Batch, Bound, Condition, DanluError, Measure, Progress
from danlu.generative.flow.flow import FlowOptions, build
from danlu.generative.parts.coupling_networks import Dense, convolutional
from danlu.generative.parts.logit import Logit
from danlu.generative.parts.masks import channel_half, checkerboard
from danlu.generative.parts.split import Split
from danlu.generative.parts.squeeze import Squeeze
from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu.losses.likelihoods import round_to_levels

PROGRESS = Progress(step=0, fraction=0.0, seed=1)
LARGE = replace(TINY, shape=(3, 28, 28))


def batch(n=6):
    level = torch.randint(4, (n, 1, 4, 4))
    return Batch(TINY.low + level * TINY.spacing, Condition(torch.arange(n) % 3), torch.arange(n))


def kinds(model):
    return [type(layer) for layer in model.links]


def test_masks_alternate():
    assert checkerboard((1, 2, 3), 0).tolist() == [[[False, True, False], [True, False, True]]]
    assert checkerboard((4,), 1).tolist() == [True, False, True, False]
    assert channel_half((3, 1, 1), 0).flatten().tolist() == [True, False, False]
    for mask, shape in ((checkerboard, (2, 5, 3)), (channel_half, (4, 2, 2))):
        assert torch.equal(mask(shape, 0), ~mask(shape, 1))
    assert not torch.equal(checkerboard((2, 4, 4), 0)[0], channel_half((2, 4, 4), 0)[0])


def test_several_scales_while_the_sides_are_even():
    model = build(LARGE, levels=5, couplings=1, width=8)
    assert kinds(model).count(Squeeze) == kinds(model).count(Split) == 2
    code = model.encode(torch.zeros(2, 3, 28, 28))
    assert [tuple(part.shape[1:]) for part in code] == [(12, 7, 7), (6, 14, 14), (12, 7, 7)]
    odd = build(replace(TINY, shape=(1, 5, 4)), couplings=1, width=8)
    assert Squeeze not in kinds(odd)
    assert odd.sample(2, condition=1).shape == (2, 1, 5, 4)


def test_networks_follow_the_size_of_the_data():
    def first(model):
        return next(layer.network for layer in model.links if hasattr(layer, "network"))

    assert isinstance(first(build(TINY, couplings=1)), Dense)
    assert not isinstance(first(build(LARGE, couplings=1)), Dense)
    assert convolutional((1, 32, 32), 2, width=8, depth=1).patch == 4
    assert convolutional((1, 7, 7), 2, width=8, depth=1).patch == 1
    assert convolutional((1, 30, 30), 2, width=8, depth=1).patch == 2


def test_images_have_a_bound_and_vectors_an_exact_density():
    found = build().log_prob(batch().x)
    assert (found.bound, found.measure) == (Bound.LOWER, Measure.COUNTING)
    found = build(TINY_VECTOR).log_prob(torch.randn(3, 2))
    assert (found.bound, found.measure) == (Bound.EXACT, Measure.LEBESGUE)
    assert found.stderr.sum() == 0


def test_levels_come_back_from_their_code():
    model, data = build().eval(), batch()
    model.start(data)
    assert torch.allclose(model.reconstruct(data.x, condition=data.condition), data.x)
    samples = model.sample(4, condition=2)
    assert torch.equal(samples, round_to_levels(samples, TINY))


def test_the_first_batch_starts_the_flow_and_lowers_its_loss():
    torch.manual_seed(0)
    model, data = build(replace(TINY_VECTOR, shape=(5,))), torch.randn(64, 5) * 0.1 + 4
    batch = Batch(data, None, torch.arange(64))
    before = model.loss(batch, "model", PROGRESS).total
    model.start(batch)
    after = model.loss(batch, "model", PROGRESS).total
    assert after < before - 5


def test_a_lower_temperature_gathers_samples():
    model = build(TINY_VECTOR)
    cool, plain = (
        model.sample(200, options=FlowOptions(temperature=t)).std().item() for t in (0.5, 1.0)
    )
    assert cool == pytest.approx(0.5 * plain, rel=1e-4)
    with pytest.raises(DanluError, match="temperature must be positive"):
        FlowOptions(temperature=0.0)
    with pytest.raises(DanluError, match="at least 2"):
        FlowOptions(draws=1)


def test_bad_settings_are_answered():
    with pytest.raises(DanluError, match="did you mean 'dense'"):
        build(network="dens")
    with pytest.raises(DanluError, match="Unknown network 'convolutional'"):
        build(TINY_VECTOR, network="convolutional")
    with pytest.raises(DanluError, match="did you mean 'logit'"):
        build(squash="logits")
    with pytest.raises(DanluError, match="on levels"):
        build(TINY_VECTOR, squash="logit")
    assert Logit in kinds(build())
    assert Logit not in kinds(build(squash="affine"))


@pytest.mark.parametrize("size", [1.0, 1e3, 1e6])
def test_a_density_far_from_the_data_is_a_number(size):
    """The log-scale of splits had no bound: numbers of a thousand gave minus infinity."""
    torch.manual_seed(0)
    model = build(replace(TINY, levels=None, low=-1e7, high=1e7), width=16)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    found = model.float().log_prob(size * torch.randn(3, *TINY.shape), condition=1)
    assert bool(found.value.isfinite().all())
