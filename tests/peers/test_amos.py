"""Amos against pytorch-optimizer, whose form has one state a tensor and a scale of its own.

Without extra decay only: with it, version 4.1 multiplies the weights by (gamma - extra) / 2, which
has the wrong sign.
"""

import math

import pytest
import torch
from pytorch_optimizer import Amos as Peer
from torch import nn

from danlu.optim import Amos, AmosForm

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_same_numbers_with_the_peer_s_scales(momentum):
    torch.manual_seed(0)
    start, x, y = torch.randn(4, 3), torch.randn(20, 3), torch.randn(20, 4)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    form = AmosForm(moments="scalar")
    eta = math.sqrt(2 / 3)  # the peer's, for two axes
    optimizers = {
        ours: Amos([ours], 0.02, eta, beta=0.98, momentum=momentum, form=form),
        theirs: Peer([theirs], lr=0.02, beta=0.98, momentum=momentum, extra_l2=0.0),
    }
    for _ in range(50):
        for weight, optimizer in optimizers.items():
            optimizer.zero_grad()
            (torch.tanh(x @ weight.T) - y).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-12)
