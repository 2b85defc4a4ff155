"""Laws of couplings, against all permutations, a closed form and autograd."""

import math
from itertools import permutations

import torch
from torch import Tensor

from danlu.contracts import Condition
from danlu.contracts.noise import BatchNoise
from danlu.generative.diffusion import couplings
from danlu.generative.diffusion.couplings import (
    ClassOptimal,
    Optimal,
    Schrodinger,
    Sinkhorn,
    bridge_weights,
    drawn,
    permutation,
    plan,
    squared_distances,
)
from danlu.generative.diffusion.paths import Linear
from danlu.laws.draws import seeded
from danlu.laws.gaps import gap, largest, rarity, sigmas
from danlu.laws.generative.diffusion.test_bed import points
from danlu.laws.law import Rows, table

COUNT = 7


def pairs() -> tuple[Tensor, Tensor, Tensor]:
    """Examples, noise, and classes of the examples."""
    both = points(2 * COUNT)
    return both[:COUNT], both[COUNT:], torch.tensor([0, 1, 0, 1, 0, 0, 1])


def cost_of(x: Tensor, z: Tensor) -> float:
    """Summed squared distance of pairs."""
    return (x - z).square().sum().item()


def optimal_is_least() -> float:
    """Least of all permutations, over the batch and within classes; in a line it sorts."""
    x, z, classes = pairs()
    draws = BatchNoise(COUNT, dtype=torch.float64)
    orders = [list(order) for order in permutations(range(COUNT))]
    least = min(cost_of(x, z[order]) for order in orders)
    within = [order for order in orders if torch.equal(classes[order], classes)]
    least_within = min(cost_of(x, z[order]) for order in within)
    line = Optimal().pair(x[:, :1], z[:, :1], None, draws)
    sorted_gap = line[x[:, 0].argsort(), 0] - z[:, 0].sort().values
    return largest(
        gap(cost_of(x, Optimal().pair(x, z, Condition(classes), draws)), least),
        gap(cost_of(x, ClassOptimal().pair(x, z, Condition(classes), draws)), least_within),
        gap(sorted_gap, 0.0),
    )


def class_noise_is_kept() -> float:
    """Every class keeps the noise that was drawn for it."""
    x, z, classes = pairs()
    paired = ClassOptimal().pair(x, z, Condition(classes), BatchNoise(COUNT, dtype=torch.float64))
    return largest(
        gap(paired[classes == c].sort(0).values, z[classes == c].sort(0).values) for c in (0, 1)
    )


def plan_is_entropic() -> float:
    """The entropic plan: closed form of two pairs, even margins, sharp and blunt limits."""
    cost, sharpness = torch.tensor([[0.3, 1.1], [0.9, 0.4]], dtype=torch.float64), 0.37
    # Even margins leave one number free, whose odds are the exponent of half the mixed difference.
    odds = math.exp((cost[0, 1] + cost[1, 0] - cost[0, 0] - cost[1, 1]).item() / (2 * sharpness))
    kept = 0.5 * odds / (1 + odds)
    known = torch.tensor([[kept, 0.5 - kept], [0.5 - kept, kept]], dtype=torch.float64)
    worst = gap(plan(cost, sharpness), known)
    x, z, _ = pairs()
    distances = squared_distances(x, z)
    # Sweeps contract by tanh(range of costs / 4 / sharpness): as blunt as the costs they converge.
    found = plan(distances, distances.mean().item())
    margins = torch.cat([found.sum(0), found.sum(1)])
    clear = torch.tensor([[1.0, 0.1, 2.0], [0.2, 1.0, 1.5], [2.0, 1.0, 0.3]], dtype=torch.float64)
    sharp = torch.zeros_like(clear)
    sharp[range(3), permutation(clear)] = 1 / 3
    return largest(
        worst,
        gap(margins, 1 / COUNT),
        gap(plan(distances, 1e9), 1 / COUNT**2),
        gap(plan(clear, 0.02), sharp),
    )


def draws_follow_the_plan() -> float:
    """Noise is drawn by the plan's rows, in standard errors."""
    weights = torch.tensor([[0.1, 0.3, 0.6], [0.5, 0.5, 0.0], [0.0, 0.2, 0.8]]).double() / 3
    n, counts = 2000, torch.zeros(3, 3, dtype=torch.float64)
    for _ in range(n):
        counts[range(3), drawn(weights, BatchNoise(3, dtype=torch.float64))] += 1
    return rarity(counts, n, (3 * weights).clamp(max=1.0))


def bridge_is_its_derivative() -> float:
    """A bridge's velocity is the derivative of its state."""
    t = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64, requires_grad=True)
    std = Schrodinger.bridge
    state, rate = bridge_weights(t, std)
    (known,) = torch.autograd.grad(state.sum(), t)
    variance = state.square() - std**2 * t * (1 - t)
    return largest(gap(rate, known), gap(variance, 0.0))


def pairs_are_bent() -> float:
    """A bridge's pairs lead through its state with its velocity."""
    (x, z, _), std, t = pairs(), Schrodinger.bridge, torch.linspace(0.1, 0.9, COUNT)
    at = t[:, None].double()
    with seeded(2):
        epsilon = BatchNoise(COUNT, dtype=torch.float64).normal(2)
    with seeded(2):
        noise = BatchNoise(COUNT, dtype=torch.float64)
        start, end = Schrodinger().bend(x, z, at[:, 0], Linear(), noise)
    root = (at * (1 - at)).sqrt()
    known = (
        (1 - at) * x + at * z + std * root * epsilon,
        z - x + std * (1 - 2 * at) / (2 * root) * epsilon,
    )
    return gap(((1 - at) * start + at * end, end - start), known)


def plans_of_couplings() -> float:
    """Plans weigh entropy by the mean cost, or by twice a bridge's variance."""
    x, z, _ = pairs()
    cost = squared_distances(x, z)
    found = Sinkhorn().regularisation(cost), Schrodinger().regularisation(cost)
    mean = sum(cost.flatten().tolist()) / COUNT**2
    return gap(found, (couplings.SHARPNESS * mean, 2 * couplings.BRIDGE**2))


_LAWS: Rows = {
    "definition": [
        ("diffusion/bent pairs", 1e-9, pairs_are_bent),
        ("diffusion/plans of couplings", 1e-12, plans_of_couplings),
    ],
    "enumeration": [
        ("diffusion/optimal coupling", 1e-12, optimal_is_least),
    ],
    "contract": [
        ("diffusion/class-optimal coupling", 0.0, class_noise_is_kept),
    ],
    "closed form": [
        ("diffusion/sinkhorn coupling", 1e-6, plan_is_entropic),
    ],
    "statistics": [
        ("diffusion/drawn pairs", sigmas(9), draws_follow_the_plan),
    ],
    "automatic differentiation": [
        ("diffusion/schrodinger coupling", 1e-12, bridge_is_its_derivative),
    ],
}

LAWS = table(_LAWS)
