"""Laws of bijections by an ordinary differential equation."""

import math
from itertools import product

import torch
from torch import Tensor, nn

from danlu.generative.flow.ffjord import build
from danlu.generative.parts.continuous import Continuous, EstimatedContinuous
from danlu.generative.parts.volumes import Flowed
from danlu.generative.tiny import TINY_VECTOR
from danlu.laws.draws import generator, seed, seeded
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.diffusion.test_bed import RecordedNoise, item_noise, points
from danlu.laws.law import Rows, table

STEP = 0.14
"""Half the distance of the points of a grid of the plane."""


class LinearField(nn.Module):
    """The velocity A x."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = torch.tensor([[-0.5, 1.0], [-1.3, 0.8]], dtype=torch.float64)

    def forward(self, x: Tensor, t: Tensor, condition: None) -> Tensor:
        """The velocity of each row."""
        return x @ self.matrix.T


class TanhField(nn.Module):
    """A velocity whose divergence is known: U tanh(W x + b t)."""

    def __init__(self) -> None:
        super().__init__()
        source = generator()
        drawn = 0.5 * torch.randn(6, 5, generator=source, dtype=torch.float64)
        self.outer = nn.Parameter(drawn[:, :2].T.clone())
        self.inner = nn.Parameter(drawn[:, 2:4].clone())
        self.rate = nn.Parameter(drawn[:, 4].clone())

    def forward(self, x: Tensor, t: Tensor, condition: None) -> Tensor:
        """The velocity of each row."""
        return torch.tanh(x @ self.inner.T + t[:, None] * self.rate) @ self.outer.T

    def divergence(self, x: Tensor, t: Tensor) -> Tensor:
        """The trace of U diag(1 - tanh^2) W."""
        slope = 1 - torch.tanh(x @ self.inner.T + t[:, None] * self.rate).square()
        return slope @ (self.outer * self.inner.T).sum(0)


def linear_field() -> float:
    """A linear velocity gives the matrix exponential and its trace, and leads back."""
    field, x = LinearField(), points(8, 1.0)
    layer = Continuous(field, steps=40)
    code, volume = layer.encode(x, None, item_noise(8))
    exact = x @ torch.linalg.matrix_exp(field.matrix).T
    worst = gap(code, exact)
    worst = largest(worst, gap(volume, field.matrix.trace().item()))
    return largest(worst, gap(layer.decode(code, None, item_noise(8)), x))


def density_integrates() -> float:
    """The density of a continuous flow integrates to 1."""
    with seeded():
        model = build(TINY_VECTOR, width=8).double()
        for parameter in model.layers.parameters():
            parameter.data.add_(0.3 * torch.randn_like(parameter))
    reach = 2.5 * gap(model.sample(200, seed=seed()), 0.0)  # the mass beyond is below 1e-5
    line = torch.linspace(-reach, reach, int(reach / STEP), dtype=torch.float64)
    total = model.log_prob(torch.cartesian_prod(line, line)).value.exp().sum()
    return gap(total.item() * (line[1] - line[0]).item() ** 2, 1)


def gradients() -> float:
    """Gradients through the solver are those through small steps.

    The small steps are of second order, with the divergence in closed form; relative.
    """
    field, x, small = TanhField(), points(8, 1.0), 400
    code, volume = Continuous(field, steps=16).encode(x, None, item_noise(8))
    weights = list(field.parameters())
    found = torch.autograd.grad((volume - code.square().sum(1) / 2).sum(), weights)
    total, h = torch.zeros(8, dtype=torch.float64), 1 / small
    for step in range(small):
        t = torch.full((8,), step * h, dtype=torch.float64)
        middle = x + h / 2 * field(x, t, None)
        total = total + h * field.divergence(middle, t + h / 2)
        x = x + h * field(middle, t + h / 2, None)
    known = torch.autograd.grad((total - x.square().sum(1) / 2).sum(), weights)
    pairs = zip(found, known, strict=True)
    return largest(gap((a - b).norm() / b.norm(), 0.0) for a, b in pairs)


def probes_average() -> float:
    """Over all probes, each fixed for a solve, the estimate is the exact volume."""
    field, x = TanhField(), points(8, 1.0)
    code, exact = Continuous(field, steps=8).encode(x, None, item_noise(8))
    total, worst = torch.zeros_like(exact), 0.0
    for signs in product((-1.0, 1.0), repeat=2):
        probe = torch.tensor(signs, dtype=torch.float64).expand_as(x)
        # A probe is the sign of uniform numbers above a half.
        noise = RecordedNoise(probe / 4 + 0.5)
        end, volume = EstimatedContinuous(field, steps=8).encode(x, None, noise)
        total = total + volume
        worst = largest(worst, gap(end, code))
    return largest(worst, gap(total / 4, exact))


def order() -> float:
    """The volume has the fourth order, which is whole."""
    field, x = TanhField(), points(8, 1.0)
    volumes = [Continuous(field, steps=n).encode(x, None, item_noise(8))[1] for n in (16, 32, 256)]
    coarse, fine = ((volume - volumes[-1]).norm().item() for volume in volumes[:2])
    return gap(math.log2(coarse / fine), 4)


def spread_of_probes() -> float:
    """The mean volume of probes is known to their deviation over the root of their number."""
    volumes = torch.tensor([[1.0, 4.0], [3.0, 4.0], [5.0, 4.0]], dtype=torch.float64)
    three, one = (Flowed(torch.zeros(2, 1), part, 0) for part in (volumes, volumes[:1]))
    found = [part.tolist() for part in (three.mean(), three.stderr(), one.mean(), one.stderr())]
    return gap(found, [[3.0, 4.0], [2 / math.sqrt(3), 0.0], [1.0, 4.0], [0.0, 0.0]])


_LAWS: Rows = {
    "closed form": [
        ("continuous-flow/spread", 1e-12, spread_of_probes),
        ("continuous-flow/linear field", 1e-6, linear_field),
    ],
    "quadrature": [
        ("continuous-flow/density", 1e-4, density_integrates),
        ("continuous-flow/gradients", 1e-4, gradients),
    ],
    "enumeration": [
        ("continuous-flow/probes", 1e-12, probes_average),
    ],
    "self-consistency": [
        ("continuous-flow/order", 0.5, order),
    ],
}

LAWS = table(_LAWS)
