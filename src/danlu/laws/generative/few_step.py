"""Laws of flow maps and of what trains them, on exact maps of known laws of data."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from danlu.contracts import Batch, Progress
from danlu.generative.diffusion.consistency import Consistency
from danlu.generative.diffusion.consistency import build as build_consistency
from danlu.generative.diffusion.jumps import Renoised, Straight, leap
from danlu.generative.diffusion.meanflow import MeanFlow
from danlu.generative.diffusion.meanflow import build as build_meanflow
from danlu.generative.diffusion.paths import EDM, Linear
from danlu.generative.tiny import TINY_VECTOR
from danlu.laws.draws import generator, seeded
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.diffusion.test_bed import EachDraw, item_noise, points
from danlu.laws.generative.exact_maps import (
    LINE,
    MEAN,
    STD,
    ConsistencyMap,
    GaussianMap,
    MixtureMap,
)
from danlu.laws.law import Rows, table


def times_and_spans(n: int) -> tuple[Tensor, Tensor]:
    """Seeded later times and spans, away from where a mixture's velocity is stiff."""
    source = generator(1)
    t, share = torch.rand(2, n, generator=source, dtype=torch.float64)
    t = 0.2 + 0.75 * t
    return t, (0.1 + 0.8 * share) * (t - 0.1)


def identity() -> float:
    """U = v - (t - s) du/dt at the exact average velocity of a Gaussian and a mixture."""
    x, worst = points(8, 1.0), 0.0
    t, span = times_and_spans(8)
    for exact in (GaussianMap(), MixtureMap()):
        model = MeanFlow(TINY_VECTOR, exact)
        value, target = model.value_and_target(x, t, span, exact.velocity(x, t), None)
        worst = largest(worst, gap(value, target))
    return worst


def derivative() -> float:
    """Du/dt by a Jacobian product is that by differences along a mixture's trajectories."""
    exact, x, h = MixtureMap(), points(8, 1.0), 1e-4
    t, span = times_and_spans(8)
    model = MeanFlow(TINY_VECTOR, exact)
    _, slope = model.total_derivative(exact.velocity(x, t), x, t, span, None)
    after, before = (
        exact(exact.map(x, t, t + step), t + step, None, span + step) for step in (h, -h)
    )
    return gap((after - before) / (2 * h), slope)


def mean_target() -> float:
    """The target averages to the exact average velocity, by quadrature.

    It is linear in the velocity, hence in the data, for which quadrature is exact.
    """
    nodes, weights = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(4))
    exact, z = GaussianMap(), points(12, 1.0)[:, :1]
    t, span = times_and_spans(12)
    alpha, sigma = 1 - t[:, None], t[:, None]
    total = alpha**2 * STD**2 + sigma**2
    data = MEAN + alpha * STD**2 / total * (z - alpha * MEAN)
    drawn = data + STD * sigma / total.sqrt() * nodes  # [12, nodes]
    velocity = ((z - drawn) / sigma).reshape(-1, 1)
    z_rows, t_rows, spans = (each.repeat_interleave(len(nodes), 0) for each in (z, t, span))
    model = MeanFlow(LINE, exact)
    _, target = model.value_and_target(z_rows, t_rows, spans, velocity, None)
    mean = target.view(len(z), -1) @ (weights / weights.sum())
    return gap(mean[:, None], exact(z, t, None, span))


def boundaries() -> float:
    """Maps of any network stay where they are told to, and u(z, t, t) is the velocity."""
    x, worst = points(8), 0.0
    with seeded(2):
        mean, data = build_meanflow(TINY_VECTOR).double(), build_consistency(TINY_VECTOR).double()
        for model in (mean, data):
            nn.init.normal_(model.network.body.leave.weight)
    with torch.no_grad():
        rows = x.new_full((len(x),), data.lowest)
        worst = largest(worst, gap(data.data(x, rows, None), x))
        worst = largest(worst, gap(mean.flow_map(None)(x, 0.4, 0.4), x))
        rows = x.new_full((len(x),), 0.4)
        return largest(worst, gap(mean.drift(None)(x, 0.4), mean.average(x, rows, 0 * rows, None)))


def composition() -> float:
    """Exact maps by one jump and by several, and against the flow's own equation."""
    model, worst = MeanFlow(TINY_VECTOR, GaussianMap()), 0.0
    flow_map, shape, path = model.flow_map(None), (2,), Linear()
    once = leap(Straight(), flow_map, item_noise(8), shape, path, [1.0, 0.0])
    for jumps in (2, 4, 8):
        times = [1 - i / jumps for i in range(jumps + 1)]
        found = leap(Straight(), flow_map, item_noise(8), shape, path, times)
        worst = largest(worst, gap(found, once))
    # From pure noise, Gaussian data is the noise at its own scale.
    known = MEAN + STD * item_noise(8).normal(2)
    return largest(worst, gap(once, known))


def renoised_moments() -> float:
    """Jumps to the data and back up keep the marginals of Gaussian data."""
    exact, path = ConsistencyMap(), EDM()
    model = Consistency(LINE, exact, fine=20)
    flow_map, (lowest, _), worst = model.flow_map(None), path.levels(), 0.0
    # The map ends at the lowest level, where the deviation is a little more than the data's.
    std = math.hypot(STD, lowest)
    for inner in ((), (0.1,), (0.3, 0.02)):
        times = [1.0, *inner, 0.0]
        rows = len(times) + 2
        noise = EachDraw(rows)
        start = math.hypot(STD, path.at(1.0).level)
        x = MEAN + start * noise.normal(1)
        for pair in pairwise(times):
            # Fresh noise of a level comes on top of that which the map leaves.
            x = Renoised().step(flow_map, x, pair, path, noise)
        spread = (x[1:] - x[0]).square().sum().sqrt().item()
        worst = largest(worst, gap(x[0].item(), MEAN), gap(spread, std))
    return worst


def consistency_gap() -> float:
    """The target of consistency training is a step on the trajectory, of first order in all.

    Data and noise behind a state average to a step of Euler's rule on its trajectory, so that the
    sum of all gaps is of first order in their distance.
    """
    exact = ConsistencyMap()
    model, sums = Consistency(LINE, exact, fine=320), []
    for fraction in (0.6, 0.75, 0.99):
        levels = model.levels(fraction)
        lower, upper = levels[:-1], levels[1:]
        y = MEAN + (STD**2 + upper.square()).sqrt()[:, None]
        data = MEAN + STD**2 / (STD**2 + upper.square())[:, None] * (y - MEAN)
        mean = data + (lower / upper)[:, None] * (y - data)
        # The map is affine, so it takes the mean to the mean.
        apart = model.data(mean, lower, None) - model.data(y, upper, None)
        sums.append(apart.sum().item())
    return largest(gap(fine / coarse, 0.5) for coarse, fine in pairwise(sums))


def consistency_levels() -> float:
    """Neighbouring levels are drawn by their log-normal masses."""
    model, n = Consistency(LINE, ConsistencyMap(), fine=20), 40_000
    u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    levels, (lower, upper) = model.levels(0.0), model.neighbours(u, 0.0)
    mass = [0.5 * math.erf((math.log(level) + 1.1) / (2 * 2**0.5)) for level in levels.tolist()]
    total, worst = mass[-1] - mass[0], 0.0
    for i, (below, above) in enumerate(pairwise(levels)):
        here = (lower == below) & (upper == above)
        worst = largest(worst, gap(here.double().mean().item(), (mass[i + 1] - mass[i]) / total))
    return worst


def loss_of_a_point() -> float:
    """Exact maps of one point have no loss."""
    worst = 0.0
    batch = Batch(torch.full((16, 1), MEAN, dtype=torch.float64), None, torch.arange(16))
    mean = MeanFlow(LINE, GaussianMap(std=0.0), same=0.5)
    data = Consistency(LINE, ConsistencyMap(std=0.0), fine=20)
    for model in (mean, data):
        for fraction in (0.0, 0.9):
            with seeded(3):
                losses = model.loss(batch, "model", Progress(0, fraction, 0))
            worst = largest(worst, abs(losses.total.item()))
    return worst


_LAWS: Rows = {
    "closed form": [
        # Steps of h = 0.019 at slopes L of up to 20: e^1 (L h)^4 / 120 = 5e-4 at the worst.
        ("few-step/meanflow identity", 1e-4, identity),
        (
            "few-step/composition",
            "f(f(x, t, s), s, r) = f(x, t, r) for the exact map, and its end is known",
            1e-12,
            composition,
        ),
        ("few-step/renoised moments", 1e-5, renoised_moments),
        ("few-step/consistency gap", 0.05, consistency_gap),
        ("few-step/consistency levels", 1e-4, consistency_levels),
        ("few-step/loss of a point", 1e-12, loss_of_a_point),
    ],
    "finite differences": [
        ("few-step/meanflow derivative", 1e-5, derivative),
    ],
    "quadrature": [
        ("few-step/meanflow target", 1e-10, mean_target),
    ],
    "contract": [
        ("few-step/boundaries", 1e-12, boundaries),
    ],
}

LAWS = table(_LAWS)
