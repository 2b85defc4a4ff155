"""Laws of bijections by an ordinary differential equation."""

import math
from itertools import product

import torch
from torch import Tensor, nn

from danlu.experiments.checks.law import Law
from danlu.experiments.checks.test_bed import RecordedNoise, item_noise, points
from danlu.generative.flow.ffjord import build
from danlu.generative.parts.continuous import Continuous, EstimatedContinuous
from danlu.generative.tiny import TINY_VECTOR

SPAN, NODES = 9.0, 121
"""A grid of the plane that holds all of a density."""


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
        generator = torch.Generator().manual_seed(0)
        drawn = 0.7 * torch.randn(6, 5, generator=generator, dtype=torch.float64)
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
    """Code and volume of a linear velocity against the matrix exponential, and the way back."""
    field, x = LinearField(), points(8, 1.0)
    layer = Continuous(field, steps=40)
    code, volume = layer.encode(x, None, item_noise(8))
    exact = x @ torch.linalg.matrix_exp(field.matrix).T
    worst = (code - exact).abs().max().item()
    worst = max(worst, (volume - field.matrix.trace()).abs().max().item())
    return max(worst, (layer.decode(code, None, item_noise(8)) - x).abs().max().item())


def density_integrates() -> float:
    """The integral of the density of an untrained but not trivial flow over the plane."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(TINY_VECTOR, width=8).double()
        for parameter in model.layers.parameters():
            parameter.data.add_(0.3 * torch.randn_like(parameter))
    line = torch.linspace(-SPAN, SPAN, NODES, dtype=torch.float64)
    total = model.log_prob(torch.cartesian_prod(line, line)).value.exp().sum()
    return abs(total.item() * (line[1] - line[0]).item() ** 2 - 1)


def gradients() -> float:
    """Gradients through few steps against those through many small ones, of another rule.

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
    return max(((a - b).norm() / b.norm()).item() for a, b in pairs)


def probes_average() -> float:
    """The volume by every probe of the plane, fixed for its solve, averages to the exact one."""
    field, x = TanhField(), points(8, 1.0)
    code, exact = Continuous(field, steps=8).encode(x, None, item_noise(8))
    total, worst = torch.zeros_like(exact), 0.0
    for signs in product((-1.0, 1.0), repeat=2):
        probe = torch.tensor(signs, dtype=torch.float64).expand_as(x)
        # A probe is the sign of uniform numbers above a half.
        noise = RecordedNoise(probe / 4 + 0.5)
        end, volume = EstimatedContinuous(field, steps=8).encode(x, None, noise)
        total = total + volume
        worst = max(worst, (end - code).abs().max().item())
    return max(worst, (total / 4 - exact).abs().max().item())


def order() -> float:
    """How fast the volume converges with the steps: distance from the fourth order."""
    field, x = TanhField(), points(8, 1.0)
    volumes = [Continuous(field, steps=n).encode(x, None, item_noise(8))[1] for n in (8, 16, 128)]
    coarse, fine = ((volume - volumes[-1]).norm().item() for volume in volumes[:2])
    return abs(math.log2(coarse / fine) - 4)


LAWS = [
    Law(
        "continuous-flow/linear field",
        "a linear velocity gives the matrix exponential and its trace, and leads back",
        1e-6,
        linear_field,
    ),
    Law(
        "continuous-flow/density",
        "the density of a continuous flow integrates to 1",
        1e-4,
        density_integrates,
    ),
    Law(
        "continuous-flow/gradients",
        "gradients through the solver are those through small steps",
        1e-4,
        gradients,
    ),
    Law(
        "continuous-flow/probes",
        "over all probes, each fixed for a solve, the estimate is the exact volume",
        1e-12,
        probes_average,
    ),
    Law("continuous-flow/order", "the volume has the fourth order of the solver", 0.3, order),
]
