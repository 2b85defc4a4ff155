"""The DiT as a network of diffusion models: sizes, derivatives, and every family on it."""

import pytest
import torch

from danlu.backbones.dit import DiT, dit_block
from danlu.backbones.transformer import softmax_layer
from danlu.contracts import Batch, Condition, DanluError, Progress
from danlu.estimators.jacobian import jacobian_product
from danlu.generative.diffusion import consistency, edm, improved_ddpm, meanflow, score_sde
from danlu.generative.diffusion.networks import ConditionedNetwork, NetworkOptions
from danlu.generative.diffusion.rectified_flow import RectifiedFlow
from danlu.generative.tiny import TINY

FAMILIES = (consistency, edm, improved_ddpm, meanflow, score_sde)


def perturbed(net):
    torch.manual_seed(1)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net.double()


def made(**settings):
    return DiT(2, width=8, depth=2, features=6, **settings)


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (1, 3)])
def test_any_size_comes_out_as_it_went_in(size):
    net = perturbed(made(patch=2))
    x, features = torch.randn(3, 2, *size).double(), torch.randn(3, 6).double()
    assert net(x, features).shape == x.shape
    assert torch.allclose(net(x, features)[:2], net(x[:2], features[:2]))
    assert perturbed(DiT((2, 3), width=8, depth=1, features=6))(x, features).shape[1] == 3


def test_a_new_one_is_zero_and_its_blocks_the_identity():
    net, x, features = made(), torch.randn(2, 2, 4, 4), torch.randn(2, 6)
    assert (net(x, features) == 0).all()
    torch.nn.init.normal_(net.leave.weight)
    shallow = DiT(2, width=8, depth=0, features=6)
    shallow.load_state_dict(
        {name: value for name, value in net.state_dict().items() if name in shallow.state_dict()}
    )
    assert torch.allclose(net(x, features), shallow(x, features), atol=1e-6)


def test_tokens_know_where_they_are():
    net, features = perturbed(made(patch=1)), torch.randn(1, 6).double()
    x = torch.randn(1, 2, 4, 4).double()
    turned = net(x.transpose(2, 3), features).transpose(2, 3)
    assert not torch.allclose(net(x, features), turned)
    # A picture of one colour has no place that differs from another: distances alone count.
    flat = net(torch.ones(1, 2, 4, 4).double(), features)
    assert torch.allclose(flat, flat[..., :1, :1].expand_as(flat))


def test_a_jacobian_product_is_that_of_differences():
    net = perturbed(made(block=dit_block("higher")))
    x, step = torch.randn(2, 2, 2, 4, 4).double()
    features = torch.randn(2, 6).double()
    _, slope = jacobian_product(lambda x: net(x, features), (x,), (step,))
    h = 1e-6
    known = (net(x + h * step, features) - net(x - h * step, features)) / (2 * h)
    assert torch.allclose(slope, known, atol=1e-6)
    plain = perturbed(made())
    assert torch.allclose(plain(x, features), net(x, features))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_family_trains_on_it(family):
    torch.manual_seed(0)
    model = family.build(network="dit", patch=2)
    assert isinstance(model.network.body, DiT)
    torch.nn.init.normal_(model.network.body.leave.weight)
    batch = Batch(torch.rand(4, 1, 4, 4), Condition(torch.arange(4) % 3), torch.arange(4))
    model.loss(batch, next(iter(model.players())), Progress(0, 0.0, 0)).total.backward()
    gradients = [parameter.grad for parameter in model.network.body.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert model.sample(2, condition=0, options=model.Options(evaluations=2)).isfinite().all()


def test_any_other_model_takes_it_from_python():
    size = NetworkOptions(network="dit", width=8, blocks=1, patch=2, features=8)
    model = RectifiedFlow(TINY, ConditionedNetwork(TINY, size))
    assert model.sample(2, condition=1).isfinite().all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(DanluError, match="both sides"):
        made(block=[softmax_layer(2)])
    with pytest.raises(DanluError, match="did you mean 'unet'"):
        NetworkOptions(network="u-net")
