"""Layers and backbones against plain computations."""

import pytest
import torch

from danlu.backbones.mlp import MLP
from danlu.backbones.unet import UNet
from danlu.conditioning.classes import ClassEmbedding
from danlu.contracts import Condition
from danlu.layers.attention import attend, attend_causally, fused, plain, plain_causal
from danlu.layers.convolution import groups
from danlu.layers.time import TimeEmbedding


def test_attention_forms_agree_with_gradients():
    q, k, v = (torch.randn(2, 3, 7, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    first = torch.autograd.grad(fused(q, k, v).square().sum(), (q, k, v))
    second = torch.autograd.grad(plain(q, k, v).square().sum(), (q, k, v))
    for a, b in zip(first, second, strict=True):
        assert (a - b).abs().max() < 1e-12


def test_causal_attention_forms_agree_with_gradients():
    q, k, v = (torch.randn(2, 3, 7, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    past = torch.ones(7, 7, dtype=torch.bool).tril()[None, None]
    ways = (plain_causal(q, k, v), plain(q, k, v, past), attend_causally(q, k, v))
    first, *others = ([y, *torch.autograd.grad(y.sin().sum(), (q, k, v))] for y in ways)
    for found in others:
        for a, b in zip(found, first, strict=True):
            assert (a - b).abs().max() < 1e-12


def test_attention_has_higher_derivatives_on_demand():
    q = torch.randn(1, 1, 3, 2, dtype=torch.float64, requires_grad=True)

    def energy(q):
        return attend(q, q, q, derivatives="higher").square().sum()

    assert torch.autograd.gradgradcheck(energy, (q,))


def test_attention_keeps_low_precision_outputs():
    q = torch.randn(1, 2, 5, 4).bfloat16()
    assert attend(q, q, q, derivatives="higher").dtype is torch.bfloat16


def test_dropping_labels_has_the_stated_rate_and_uses_the_null_class():
    embed = ClassEmbedding(5, 3)
    dropped = embed.drop(Condition(torch.zeros(20_000, dtype=torch.int64)), 0.1)
    assert (~dropped.present).double().mean() == pytest.approx(0.1, abs=0.01)
    assert embed.drop(None, 0.1) is None
    null, zeroth = embed.table.weight[5], embed.table.weight[0]
    assert torch.equal(embed.vector(None, 2), null.expand(2, 3))
    found = embed.vector(dropped, 20_000)
    assert torch.equal(found, torch.where(dropped.present[:, None], zeroth, null))


@pytest.mark.parametrize(
    ("size", "patch"), [((7, 9), 1), ((7, 9), 2), ((8, 8), 1), ((28, 28), 2), ((1, 1), 1)]
)
def test_unet_keeps_any_size(size, patch):
    net = UNet(2, width=8, multipliers=(1, 2), patch=patch, features=6)
    x = torch.randn(3, 2, *size)
    assert net(x, torch.randn(3, 6)).shape == x.shape


def test_unet_rows_do_not_mix():
    torch.manual_seed(0)
    net = UNet(1, width=8, features=6).double()
    torch.nn.init.normal_(net.leave.weight)
    x, f = torch.randn(2, 1, 8, 8).double(), torch.randn(2, 6).double()
    assert (net(x, f)[:1] - net(x[:1], f[:1])).abs().max() < 1e-12


def test_mlp_uses_its_features():
    net = MLP(2, 3, width=8, depth=2, features=4)
    x = torch.randn(5, 2)
    assert net(x, torch.zeros(5, 4)).shape == (5, 3)
    assert not torch.equal(net(x, torch.zeros(5, 4)), net(x, torch.ones(5, 4)))


def test_time_embedding_separates_close_times():
    embed = TimeEmbedding(16)
    near = embed(torch.tensor([0.5, 0.501]))
    assert (near[0] - near[1]).norm() > 0.1
    with pytest.raises(ValueError, match="even"):
        TimeEmbedding(3)


@pytest.mark.parametrize(("channels", "expected"), [(8, 1), (16, 2), (48, 4), (64, 8), (512, 32)])
def test_group_sizes(channels, expected):
    assert groups(channels) == expected
