"""Bijections at the edges of what floats hold, against normflows, zuko and torch.distributions."""

import normflows
import pytest
import torch
from torch import nn
from torch.distributions.transforms import AffineTransform, SigmoidTransform
from zuko.transforms import FreeFormJacobianTransform

from danlu.conditioning.classes import ClassEmbedding
from danlu.contracts import Classes, Condition
from danlu.contracts.noise import ItemNoise
from danlu.generative.parts.affine import Normalise, ToldAffine
from danlu.generative.parts.continuous import Continuous
from danlu.generative.parts.coupling_networks import FEATURES, Dense
from danlu.generative.parts.couplings import Coupling
from danlu.generative.parts.logit import MARGIN, Logit
from danlu.generative.parts.masks import checkerboard
from danlu.generative.parts.transforms.affine import LIMIT, Affine

pytestmark = [pytest.mark.long]

DIM = 4
SCALES = (0.0, 1e-30, 1e-6, 1.0, 1e3, 1e6)
TYPES = {torch.float64: 1e-10, torch.float32: 2e-5}


def values(scale, dtype, n=7):
    generator = torch.Generator().manual_seed(2)
    return scale * torch.randn(n, DIM, generator=generator, dtype=torch.float64).to(dtype)


def same(found, expected, x, tolerance):
    for mine, peer in zip(found, expected, strict=True):
        assert peer.isfinite().all(), "the peer fails here itself"
        size = max(1.0, peer.abs().max().item(), x.abs().max().item())
        torch.testing.assert_close(mine, peer, rtol=tolerance, atol=tolerance * size)


def noise(x):
    return ItemNoise(0, range(len(x)))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("scale", SCALES)
def test_a_coupling(scale, dtype):
    torch.manual_seed(0)
    coupling = Coupling(
        checkerboard((DIM,), 0),
        Dense((DIM,), 2 * DIM, width=16, depth=1),
        ClassEmbedding(0, FEATURES),
        Affine(),
    )
    with torch.no_grad():
        for parameter in coupling.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    coupling, x = coupling.to(dtype), values(scale, dtype)

    def output(x):
        return coupling.network(x, coupling.embedding.vector(None, len(x))).chunk(2, dim=1)

    class Part(nn.Module):
        def __init__(self, index):
            super().__init__()
            self.index = index

        def forward(self, x):
            raw = output(x)[self.index]
            return raw if self.index == 0 else LIMIT * torch.tanh(raw / LIMIT)

    peer = normflows.flows.MaskedAffineFlow(coupling.mask.to(dtype), t=Part(0), s=Part(1))
    code, volume = coupling.encode(x, None, noise(x))
    same((code, volume), peer.forward(x), x, TYPES[dtype])
    back = coupling.decode(code, None, noise(x))
    assert (back - x).abs().max() <= TYPES[dtype] * 100 * max(1.0, scale)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("scale", SCALES)
def test_shifts_and_scales(scale, dtype):
    x, shift = values(scale, dtype), torch.linspace(-1, 1, DIM, dtype=dtype)
    log_scale = torch.linspace(-12, 9, DIM, dtype=dtype)
    fixed, theirs = Normalise(shift, log_scale.exp()), AffineTransform(shift, log_scale.exp()).inv
    expected = theirs(x)
    found, volume = fixed.encode(x, None, noise(x))
    peers_volume = theirs.log_abs_det_jacobian(x, expected).sum(-1)
    same((found, volume), (expected, peers_volume), found, 10 * TYPES[dtype])
    learned = ToldAffine(DIM, Classes(2)).to(dtype)
    with torch.no_grad():
        learned.moments.table.weight.copy_(torch.cat([shift, log_scale]).expand(3, -1))
    ids = Condition(torch.zeros(len(x), dtype=torch.long))
    same(learned.encode(x, ids, noise(x)), (found, volume), found, 10 * TYPES[dtype])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("edge", [0.0, 1e-30, 0.5, 1.0 - 1e-7, 1.0])
def test_logits_to_the_very_ends(edge, dtype):
    x = torch.full((3, DIM), edge, dtype=dtype)
    expected, volume = normflows.transforms.Logit(alpha=MARGIN).inverse(x)
    found, contribution = Logit(0.0, 1.0).encode(x, None, noise(x))
    same((found, contribution), (expected, volume), x, TYPES[dtype])
    inner = MARGIN + (1 - 2 * MARGIN) * x
    torch.testing.assert_close(found, SigmoidTransform().inv(inner), rtol=1e-5, atol=1e-6)
    back = Logit(0.0, 1.0).decode(found, None, noise(x))
    torch.testing.assert_close(back, x, rtol=0, atol=1e-6)


class Velocity(nn.Module):
    """A smooth field that neither side knows more of than its values."""

    def __init__(self):
        super().__init__()
        self.inside, self.outside = nn.Linear(DIM + 1, 16), nn.Linear(16, DIM)

    def forward(self, x, t, condition=None):
        return self.outside(torch.tanh(self.inside(torch.cat([x, t[:, None]], dim=1))))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 30.0])
def test_a_flow_of_an_equation(scale):
    torch.manual_seed(1)
    velocity, x = Velocity().double(), values(scale, torch.float64)
    ours = Continuous(velocity, steps=64)

    def field(t, x):
        return velocity(x, torch.as_tensor(t, dtype=x.dtype).expand(len(x)))

    theirs = FreeFormJacobianTransform(field, t0=0.0, t1=1.0, atol=1e-9, rtol=1e-9, exact=True)
    same(ours.encode(x, None, noise(x)), theirs.call_and_ladj(x), x, 1e-6)
    code = ours.encode(x, None, noise(x))[0]
    back = ours.decode(code, None, noise(x))
    same((back,), (theirs.inv(code),), x, 1e-6)
