"""Couplings and normalisation against normflows, with the same networks."""

import normflows
import pytest
import torch
from normflows.distributions import DiagGaussian
from normflows.flows import ActNorm as PeerActNorm
from normflows.flows import MaskedAffineFlow

from danlu.conditioning.classes import ClassEmbedding
from danlu.contracts import DataDescription
from danlu.contracts.noise import ItemNoise
from danlu.generative.chain import Chain
from danlu.generative.parts.actnorm import ActNorm
from danlu.generative.parts.coupling_networks import FEATURES, Dense
from danlu.generative.parts.couplings import Coupling
from danlu.generative.parts.logit import MARGIN, Logit
from danlu.generative.parts.masks import checkerboard
from danlu.generative.parts.priors import GaussianPrior
from danlu.generative.parts.transforms.affine import LIMIT, Affine
from danlu.laws.generative.flow import disturbed

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]

DIM, N = 4, 20
DATA = DataDescription(shape=(DIM,), levels=None, low=-3.0, high=3.0)


class Half(torch.nn.Module):
    """Shift or log-scale of a coupling, as a function of what stays."""

    def __init__(self, coupling, part):
        super().__init__()
        self.coupling, self.part = coupling, part

    def forward(self, x):
        output = self.coupling.network(x, self.coupling.embedding.vector(None, len(x)))
        shift, raw = output.chunk(2, dim=1)
        return shift if self.part == "shift" else LIMIT * torch.tanh(raw / LIMIT)


def couplings():
    return [
        disturbed(
            Coupling(
                checkerboard((DIM,), parity),
                Dense((DIM,), 2 * DIM, width=16, depth=1),
                ClassEmbedding(0, FEATURES),
                Affine(),
            )
        )
        for parity in (0, 1, 0)
    ]


def peer_of(coupling):
    shift, scale = Half(coupling, "shift"), Half(coupling, "scale")
    return MaskedAffineFlow(coupling.mask.double(), t=shift, s=scale)


def noise():
    return ItemNoise(0, range(N))


def test_couplings_are_theirs():
    for coupling in couplings():
        x, peer = torch.randn(N, DIM), peer_of(coupling)
        # Their forward direction is z to x; one affine map is as good in both.
        expected, volume = peer.forward(x)
        found, contribution = coupling.encode(x, None, noise())
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(contribution, volume)
        torch.testing.assert_close(coupling.decode(x, None, noise()), peer.inverse(x)[0])


def test_the_density_of_a_stack_is_theirs():
    layers = couplings()
    ours = Chain(DATA, layers, GaussianPrior(DATA))
    base = DiagGaussian(DIM, trainable=False)

    class Turned(torch.nn.Module):
        """A flow of theirs in our direction, data to noise."""

        def __init__(self, flow):
            super().__init__()
            self.flow = flow

        def forward(self, z):
            return self.flow.inverse(z)

        def inverse(self, x):
            return self.flow.forward(x)

    theirs = normflows.NormalizingFlow(base, [Turned(peer_of(c)) for c in reversed(layers)])
    x = torch.randn(N, DIM)
    torch.testing.assert_close(ours.log_prob(x).value, theirs.log_prob(x).detach())


def test_normalisation_starts_as_theirs():
    x = 3 + 2 * torch.randn(N, 2, 4, 4)
    ours, theirs = ActNorm((2, 4, 4)), PeerActNorm((2, 1, 1)).double()
    ours.start(x)
    expected, volume = theirs.forward(x)  # the first call sets its parameters
    found, contribution = ours.encode(x, None, noise())
    # Theirs divides by the deviation of a sample, ours by that of the batch.
    ratio = x.transpose(0, 1).flatten(1).std(1) / x.transpose(0, 1).flatten(1).std(1, correction=0)
    torch.testing.assert_close(found, expected * ratio[:, None, None], rtol=1e-5, atol=1e-5)
    expected_volume = volume + 16 * ratio.log().sum()
    torch.testing.assert_close(contribution, expected_volume.expand(N), rtol=1e-5, atol=1e-5)


def test_logits_are_theirs():
    x = torch.rand(N, DIM)
    theirs = normflows.transforms.Logit(alpha=MARGIN)
    expected, volume = theirs.inverse(x)
    found, contribution = Logit(0.0, 1.0).encode(x, None, noise())
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(contribution, volume)
