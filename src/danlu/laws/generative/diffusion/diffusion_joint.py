"""Laws of a path as a process: joint laws, heat, continuity, characteristics, pointwise I-MMSE."""

import math

import numpy as np
import torch
from torch import Tensor

from danlu.contracts.noise import BatchNoise
from danlu.generative.diffusion import PATHS, likelihood
from danlu.generative.diffusion.analytic import GaussianDenoiser, MixtureDenoiser, two_dimensional
from danlu.generative.diffusion.beta_paths import LinearBeta
from danlu.generative.diffusion.paths import Linear, Path
from danlu.generative.diffusion.pointwise import gain, pointwise
from danlu.generative.diffusion.processes import Process, backward, forward
from danlu.laws.draws import seeded
from danlu.laws.gaps import deviation, gap, largest, sigmas
from danlu.laws.generative.diffusion.test_bed import EachDraw, RecordedNoise, points
from danlu.laws.law import Rows, table

EARLY, LATE = 0.3, 0.7
MEAN, STD = 0.3, 0.8
SHARES = (0.0, 0.4, 1.0)


def exact() -> GaussianDenoiser:
    """The denoiser of numbers around 0.3."""
    return GaussianDenoiser(torch.tensor([MEAN]).double(), torch.tensor([[STD**2]]).double())


def variance_at(path: Path, t: float) -> float:
    """Of the noisy numbers."""
    point = path.at(t)
    return (point.alpha * STD) ** 2 + point.sigma**2


def covariance(process: Process, variance: float, times: list[float]) -> tuple[float, float]:
    """Variance at the last time, and covariance of first and last, from a variance at the first.

    Steps are affine in the state and in every draw: the rows are the start, and each draw alone.
    """
    rows = len(times) + 2
    x = torch.zeros(rows, 1, dtype=torch.float64)
    x[-1] = 1.0
    end = process.walk(x, times, EachDraw(rows))[-1, :, 0]
    responses = end[1:] - end[0]
    spread = responses[:-1].square().sum() + variance * responses[-1].square()
    return spread.item(), (variance * responses[-1]).item()


def joint_law() -> float:
    r"""Covariances of two times, both ways and for every share of the noise, in closed form.

    For $s < t$ and Gaussian data of variances V it is
    $(\alpha_t/\alpha_s)^\kappa\,V_s^{(1+\kappa)/2}\,V_t^{(1-\kappa)/2}$, both ways. Errors of 50
    and 100 steps are extrapolated to endless steps by their first order.
    """
    worst = 0.0
    for path in (Linear(), LinearBeta()):
        early, late = variance_at(path, EARLY), variance_at(path, LATE)
        ratio = path.at(LATE).alpha / path.at(EARLY).alpha
        for share in SHARES:
            known = ratio**share * early ** ((1 + share) / 2) * late ** ((1 - share) / 2)
            ways = (
                (forward(exact(), path, share), EARLY, LATE, early, late),
                (backward(exact(), path, share), LATE, EARLY, late, early),
            )
            for process, first, last, start, end in ways:
                coarse, fine = (
                    covariance(process, start, torch.linspace(first, last, n + 1).tolist())
                    for n in (50, 100)
                )
                for rough, close, truth in zip(coarse, fine, (end, known), strict=True):
                    worst = largest(worst, gap(2 * close - rough, truth))
    return worst


def flow_is_not_the_reversal() -> float:
    """The reverse equation has the noising's joint law, the probability flow has not.

    Data of variance 1/2 and noise of variance t, from 2 to 1: 1.5, 1.5 and 1.936. The error of the
    first two, and by how much less than 0.4 the flow is away.
    """
    path = PATHS["variance-exploding"].build()
    one, two = (path.time(level) for level in (1.0, math.sqrt(2.0)))
    data = GaussianDenoiser(torch.zeros(1).double(), torch.tensor([[0.5]]).double())
    values = []
    for process, first, last, start in (
        (forward(data, path), one, two, 1.5),
        (backward(data, path), two, one, 2.5),
        (backward(data, path, 0.0), two, one, 2.5),
    ):
        coarse, fine = (
            covariance(process, start, torch.linspace(first, last, n + 1).tolist())[1]
            for n in (50, 100)
        )
        values.append(2 * fine - coarse)
    noising, reverse, flow = values
    misses = largest(0.0, 0.4 - gap(flow, noising), gap(flow, math.sqrt(1.5 * 2.5)))
    return largest(gap(noising, 1.5), gap(reverse, 1.5), misses)


def heat_equation() -> float:
    """The noisy density's derivative by the variance is half its Laplacian."""
    mixture, worst = two_dimensional(), 0.0
    for level in (0.3, 1.0, 3.0):
        y = points(16).requires_grad_()
        variance = torch.full((16,), level**2, dtype=torch.float64, requires_grad=True)
        density = mixture.log_density(y, variance.sqrt()).exp()
        (slope,) = torch.autograd.grad(density.sum(), variance, retain_graph=True)
        (gradient,) = torch.autograd.grad(density.sum(), y, create_graph=True)
        laplacian = likelihood.exact_trace(y, gradient)[0]
        worst = largest(worst, gap(slope, laplacian / 2))
    return worst


def heat_kernel() -> float:
    """A density spread by a Gaussian on a grid is that of a higher level."""
    mixture, low, high = two_dimensional(), 0.4, 0.9
    line = torch.linspace(-7, 7, 281, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    area, variance = (line[1] - line[0]) ** 2, high**2 - low**2
    before, x = mixture.log_density(grid, low).exp(), points(8, 1.0)
    kernel = (-(x[:, None] - grid).square().sum(-1) / (2 * variance)).exp()
    spread = (kernel * before).sum(1) * area / (2 * math.pi * variance)
    return gap(spread, mixture.log_density(x, high).exp())


def continuity() -> float:
    """On every path the log-density changes by minus the divergence along the flow."""
    mixture, worst = two_dimensional(), 0.0
    for path in (method.build() for method in PATHS.values()):
        x = (path.at(0.4037).alpha * points(16)).requires_grad_()
        t = torch.full((16,), 0.4037, dtype=torch.float64, requires_grad=True)
        alpha, sigma = path.coefficients(t)
        log_p = mixture.log_density(x / alpha[:, None], sigma / alpha) - 2 * alpha.log()
        score, rate = torch.autograd.grad(log_p.sum(), (x, t), materialize_grads=True)
        velocity = flow_of(mixture, path, x, 0.4037)
        divergence = likelihood.exact_trace(x, velocity)[0]
        error = rate + divergence + (velocity * score).sum(1)
        worst = largest(worst, gap(error / (1 + rate.abs()), 0.0))
    return worst


def flow_of(mixture: MixtureDenoiser, path: Path, x: Tensor, t: float) -> Tensor:
    """The probability flow as a process without noise has it."""
    return forward(mixture, path, 0.0).drift(x, t)


def characteristics() -> float:
    """Lines and parabolas from a uniform source carry its density in closed form.

    Curves $x_t = x_0 + t^k (x_1 - x_0)$ from four data points to the uniform law on [0, 2]: the
    density around a data point is the source's times the change of volume, a box of width $2 t^k$.
    """
    data = torch.tensor([-1.0, 0.2, 0.5, 1.7], dtype=torch.float64)[:, None]
    worst, t = 0.0, 0.25
    for power in (1, 2):

        def drift(x: Tensor, t: float, power: int = power) -> Tensor:
            return power * (x - data) / t

        for share in (0.1, 0.5, 0.9):
            x = data + t**power * (2 * share - data)
            times = likelihood.dense_at_ends(60, t, 1.0)
            flowed = likelihood.flow(drift, x, times, likelihood.exact_trace)
            log_p = -math.log(2) + flowed.mean()
            worst = largest(worst, gap(log_p + math.log(2 * t**power), 0.0))
            worst = largest(worst, gap(flowed.end, 2 * share))
    return worst


def line_mixture() -> MixtureDenoiser:
    """Two unequal Gaussians on the line."""
    return MixtureDenoiser(
        torch.tensor([[-1.0], [0.8]]).double(),
        torch.tensor([0.5, 0.9]).double(),
        torch.tensor([0.3, 0.7]).double(),
    )


def pointwise_by_quadrature() -> float:
    """The I-MMSE integral of a point is its log-density, by quadrature."""
    nodes, weights = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(96))
    x, mixture = torch.tensor([-1.7, 0.1, 1.5]).double()[:, None], line_mixture()
    rows, noise = x.repeat_interleave(96, 0), RecordedNoise(nodes.repeat(3)[:, None])
    logs = torch.linspace(math.log(1e-3), math.log(1e3), 300).double()
    total = torch.zeros(3, dtype=torch.float64)
    for level in logs.exp():
        values = gain(mixture, rows, level.expand(len(rows)), noise).view(3, 96)
        total += values @ (weights / weights.sum()) * (logs[1] - logs[0])
    found = total - 0.5 * math.log(2 * math.pi * math.e)
    return gap(found, mixture.log_density(x))


def pointwise_is_unbiased() -> float:
    """Drawn levels have the log-density as their mean, in standard errors."""
    mixture = two_dimensional()
    x = torch.tensor([[0.4, 0.9]]).double().expand(4000, 2)
    with seeded():
        drawn = pointwise(mixture, x, BatchNoise(4000, dtype=torch.float64), (1e-3, 1e3), 12)
    error = drawn.std() / len(drawn) ** 0.5
    return deviation(drawn.mean(), mixture.log_density(x[:1])[0], error)


_LAWS: Rows = {
    "closed form": [
        (
            "diffusion/joint law",
            "forwards = backwards at every share of the noise, with known covariances of times",
            1e-3,
            joint_law,
        ),
        ("diffusion/flow is not the reversal", 1e-3, flow_is_not_the_reversal),
        ("diffusion/characteristics", 1e-5, characteristics),
    ],
    "automatic differentiation": [
        ("diffusion/heat equation", 1e-12, heat_equation),
        ("diffusion/continuity", 1e-9, continuity),
    ],
    "quadrature": [
        ("diffusion/heat kernel", 1e-9, heat_kernel),
        ("diffusion/pointwise", 1e-5, pointwise_by_quadrature),
    ],
    "statistics": [
        ("diffusion/pointwise draws", sigmas(), pointwise_is_unbiased),
    ],
}

LAWS = table(_LAWS)
