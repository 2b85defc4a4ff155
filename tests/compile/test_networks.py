"""Networks and losses compile whole, with the same values and gradients.

Run with `JAXTYPING_DISABLE=1`: the run-time check of annotations is no part of a graph.
"""

import pytest
import torch
from torch import nn

from danlu.backbones.convnets import ConvDecoder, ConvEncoder
from danlu.backbones.dit import DiT
from danlu.backbones.mlp import MLP
from danlu.backbones.unet import UNet
from danlu.contracts import DataDescription, DataKind
from danlu.layers.attention import attend
from danlu.losses import DIVERGENCES
from danlu.losses.likelihoods import DiscretisedLogistic

GREY = DataDescription(kind=DataKind.IMAGE, shape=(1, 8, 8), levels=17, low=-1.0, high=1.0)

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]


def cases():
    return {
        "unet": (lambda: UNet(1, width=8, features=4), [(2, 1, 8, 8), (2, 4)]),
        "dit": (lambda: DiT(1, width=8, depth=1, features=4), [(2, 1, 8, 8), (2, 4)]),
        "mlp": (lambda: MLP(2, 2, width=8, features=4), [(3, 2), (3, 4)]),
        "encoder": (lambda: ConvEncoder((1, 8, 8), 3, width=8, features=4), [(2, 1, 8, 8), (2, 4)]),
        "decoder": (lambda: ConvDecoder(3, (1, 8, 8), width=8, features=4), [(2, 3), (2, 4)]),
        "attention": (lambda: attend, [(2, 1, 5, 4)] * 3),
        "likelihood": (lambda: DiscretisedLogistic(GREY).log_prob, [(2, 1, 8, 8), (2, 2, 8, 8)]),
        "divergence": (lambda: DIVERGENCES["relativistic"].target.critic, [(4,), (4,)]),
    }


def value_and_gradients(function, weights, inputs):
    output = function(*inputs)
    targets = [*weights, *inputs]
    found = torch.autograd.grad(output.square().sum(), targets, allow_unused=True)
    return [output, *(gradient for gradient in found if gradient is not None)]


@pytest.mark.parametrize("name", cases())
def test_compiles_whole(name):
    build, shapes = cases()[name]
    function = build()
    weights = list(function.parameters()) if isinstance(function, nn.Module) else []
    inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    eager = value_and_gradients(function, weights, inputs)
    for found, expected in zip(value_and_gradients(compiled, weights, inputs), eager, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
