"""Laws of couplings, against all permutations, a closed form and autograd."""

import math
from itertools import permutations

import torch
from torch import Tensor

from danlu.experiments.checks.law import Law
from danlu.experiments.checks.test_bed import points
from danlu.generative.diffusion.couplings import (
    ClassOptimal,
    Optimal,
    Schrodinger,
    bridge_weights,
    drawn,
    permutation,
    plan,
    squared_distances,
)
from danlu.solvers.noise import BatchNoise

COUNT = 7


def pairs() -> tuple[Tensor, Tensor, Tensor]:
    """Examples, noise, and classes of the examples."""
    both = points(2 * COUNT)
    return both[:COUNT], both[COUNT:], torch.tensor([0, 1, 0, 1, 0, 0, 1])


def cost_of(x: Tensor, z: Tensor) -> float:
    """Summed squared distance of pairs."""
    return (x - z).square().sum().item()


def optimal_is_least() -> float:
    """The optimal pairing's cost against the least of all permutations; in a line it sorts."""
    x, z, classes = pairs()
    draws = BatchNoise(COUNT, dtype=torch.float64)
    orders = [list(order) for order in permutations(range(COUNT))]
    least = min(cost_of(x, z[order]) for order in orders)
    within = [order for order in orders if torch.equal(classes[order], classes)]
    least_within = min(cost_of(x, z[order]) for order in within)
    line = Optimal().pair(x[:, :1], z[:, :1], None, draws)
    sorted_gap = line[x[:, 0].argsort(), 0] - z[:, 0].sort().values
    return max(
        abs(cost_of(x, Optimal().pair(x, z, classes, draws)) - least),
        abs(cost_of(x, ClassOptimal().pair(x, z, classes, draws)) - least_within),
        sorted_gap.abs().max().item(),
    )


def class_noise_is_kept() -> float:
    """Within every class the noise is what was drawn, in another order."""
    x, z, classes = pairs()
    paired = ClassOptimal().pair(x, z, classes, BatchNoise(COUNT, dtype=torch.float64))
    return max(
        (paired[classes == c].sort(0).values - z[classes == c].sort(0).values).abs().max().item()
        for c in (0, 1)
    )


def plan_is_entropic() -> float:
    """The plan of two pairs in closed form, its margins, and its sharp and blunt limits."""
    cost, sharpness = torch.tensor([[0.3, 1.1], [0.9, 0.4]], dtype=torch.float64), 0.37
    # Even margins leave one number free, whose odds are the exponent of half the mixed difference.
    odds = math.exp((cost[0, 1] + cost[1, 0] - cost[0, 0] - cost[1, 1]).item() / (2 * sharpness))
    kept = 0.5 * odds / (1 + odds)
    known = torch.tensor([[kept, 0.5 - kept], [0.5 - kept, kept]], dtype=torch.float64)
    worst = (plan(cost, sharpness) - known).abs().max().item()
    x, z, _ = pairs()
    distances = squared_distances(x, z)
    found = plan(distances, 1.0)
    margins = torch.cat([found.sum(0), found.sum(1)])
    clear = torch.tensor([[1.0, 0.1, 2.0], [0.2, 1.0, 1.5], [2.0, 1.0, 0.3]], dtype=torch.float64)
    sharp = torch.zeros_like(clear)
    sharp[range(3), permutation(clear)] = 1 / 3
    return max(
        worst,
        (margins - 1 / COUNT).abs().max().item(),
        (plan(distances, 1e9) - 1 / COUNT**2).abs().max().item(),
        (plan(clear, 0.02) - sharp).abs().max().item(),
    )


def draws_follow_the_plan() -> float:
    """Columns drawn from rows, by the frequencies of many draws, in standard errors."""
    weights = torch.tensor([[0.1, 0.3, 0.6], [0.5, 0.5, 0.0], [0.0, 0.2, 0.8]]).double() / 3
    torch.manual_seed(0)
    n, counts = 2000, torch.zeros(3, 3, dtype=torch.float64)
    for _ in range(n):
        counts[range(3), drawn(weights, BatchNoise(3, dtype=torch.float64))] += 1
    chances = 3 * weights
    errors = (chances * (1 - chances) / n).sqrt()
    return ((counts / n - chances).abs() / errors.clamp(min=1e-9)).max().item()


def bridge_is_its_derivative() -> float:
    """The bridge's velocity is the derivative of its state, and its variance Brownian."""
    t = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64, requires_grad=True)
    std = Schrodinger.bridge
    state, rate = bridge_weights(t, std)
    (known,) = torch.autograd.grad(state.sum(), t)
    variance = state.square() - std**2 * t * (1 - t)
    return max((rate - known).abs().max().item(), variance.abs().max().item())


LAWS = [
    Law(
        "diffusion/optimal coupling",
        "least of all permutations, over the batch and within classes; in a line it sorts",
        1e-12,
        optimal_is_least,
    ),
    Law(
        "diffusion/class-optimal coupling",
        "every class keeps the noise that was drawn for it",
        0.0,
        class_noise_is_kept,
    ),
    Law(
        "diffusion/sinkhorn coupling",
        "the entropic plan: closed form of two pairs, even margins, sharp and blunt limits",
        1e-6,
        plan_is_entropic,
    ),
    Law(
        "diffusion/drawn pairs",
        "noise is drawn by the plan's rows, in standard errors",
        4.0,
        draws_follow_the_plan,
    ),
    Law(
        "diffusion/schrodinger coupling",
        "a bridge's velocity is the derivative of its state",
        1e-12,
        bridge_is_its_derivative,
    ),
]
