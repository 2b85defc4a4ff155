"""Laws of reverse chains with learned variances, on Gaussian data."""

import math
from itertools import pairwise

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from danlu.contracts import Batch, Progress
from danlu.generative.diffusion.analytic import GaussianDenoiser
from danlu.generative.diffusion.bound import ReverseChain
from danlu.generative.diffusion.discrete import Discrete, linear_betas
from danlu.generative.diffusion.improved_ddpm import build
from danlu.generative.diffusion.learned_variance import LearnedChain, Noted
from danlu.generative.diffusion.solvers.ancestral import Ancestral, forward_variance, given_data
from danlu.generative.tiny import TINY_VECTOR
from danlu.laws.draws import seeded
from danlu.laws.gaps import excess, gap, largest
from danlu.laws.generative.diffusion.solver_laws import final_moments
from danlu.laws.generative.diffusion.test_bed import item_noise, points
from danlu.laws.generative.exact_maps import LINE, MEAN, STD
from danlu.laws.law import Rows, table

STEPS = 30


def gaussian() -> GaussianDenoiser:
    """The exact denoiser of numbers around the mean."""
    return GaussianDenoiser(
        torch.tensor([MEAN], dtype=torch.float64), torch.tensor([[STD**2]], dtype=torch.float64)
    )


def levels_of(steps: int) -> list[float]:
    """The noise levels of a table of shares."""
    return Discrete(linear_betas(steps)).log_levels.exp().tolist()


def optimal_share(level: float, level_next: float) -> float:
    """The share at which the variance is that of the true reverse step for Gaussian data."""
    weight, small = given_data(level, level_next)
    true = small + (1 - weight) ** 2 * STD**2 * level**2 / (STD**2 + level**2)
    return math.log(true / small) / math.log(forward_variance(level, level_next) / small)


def fixed_shares(share: float) -> Noted:
    """The exact denoiser with one share for all numbers."""

    def both(y: Tensor, level: float | Tensor) -> tuple[Tensor, Tensor]:
        return gaussian()(y, level), torch.full_like(y, share)

    return Noted(both)


def ends_are_the_fixed_chains() -> float:
    """With shares 0 and 1 the bound is that of the small and of the large variance."""
    x, levels, worst = points(8, 1.0)[:, :1], levels_of(STEPS), 0.0
    for share, variance in ((0.0, "small"), (1.0, "large")):
        found, known = (
            chain.bound(denoise, x, item_noise(8), LINE, STEPS)
            for chain, denoise in (
                (LearnedChain(levels), fixed_shares(share)),
                (ReverseChain(levels, variance), gaussian()),
            )
        )
        worst = largest(worst, gap(found, known))
    return worst


def divergences() -> float:
    """Every term is the divergence of two Gaussian steps."""
    levels, x = levels_of(STEPS), torch.tensor([[0.7, -0.4]], dtype=torch.float64)
    data, shares = x + 0.3, torch.tensor([[0.2, 0.9]], dtype=torch.float64)
    chain, worst = LearnedChain(levels), 0.0
    for i in range(STEPS - 1):
        level, lower = levels[i + 1], levels[i]
        y = x + 0.5 * level
        weight, small = given_data(level, lower)
        large = forward_variance(level, lower)
        std = (small * (large / small) ** shares).sqrt()
        true = Normal(x + weight * (y - x), torch.full_like(x, math.sqrt(small)))
        known = kl_divergence(true, Normal(data + weight * (y - data), std))
        found = chain.divergence(torch.tensor([i]), x, data, shares)
        worst = largest(worst, gap((found - known) / (1 + known), 0.0))
    return worst


def best_variance() -> float:
    """The bound is stationary at the true reverse step's variance, between the two known.

    The divergence is linear in the squared error, whose mean is the posterior variance.
    """
    levels = levels_of(STEPS)
    chain, worst = LearnedChain(levels), 0.0
    for i in range(STEPS - 1):
        level = levels[i + 1]
        error = STD * level / math.sqrt(STD**2 + level**2)
        share = torch.tensor([[optimal_share(level, levels[i])]], dtype=torch.float64)
        share.requires_grad_()
        x = torch.zeros(1, 1, dtype=torch.float64)
        value = chain.divergence(torch.tensor([i]), x, x + error, share)
        (slope,) = torch.autograd.grad(value.sum(), share)
        worst = largest(worst, gap(slope, 0.0), excess(-share, 0.0), excess(share, 1.0))
    return worst


def few_steps() -> float:
    """With the best variances a chain of eight steps keeps Gaussian data's moments.

    The last step gives the mean at the lowest level, which is next to nothing.
    """
    grid = [*levels_of(1000)[:: -1000 // 7], 1e-4, 0.0]
    below = dict(pairwise(grid))
    solver = Ancestral(
        shares=lambda y, level: torch.full_like(y, optimal_share(level, below[level]))
    )
    mean, std = final_moments(solver, grid, MEAN, STD)
    return largest(gap(mean, MEAN), gap(std, STD))


def bound_leaves_the_mean_alone() -> float:
    """No gradient of the bound reaches the mean."""
    with seeded():
        model = build(TINY_VECTOR).double()
        torch.nn.init.normal_(model.network.body.leave.weight)
        batch = Batch(points(16, 1.0), None, torch.arange(16))
        losses = model.loss(batch, "model", Progress(0, 0.0, 0))
    (slope,) = torch.autograd.grad(losses.parts["bound"], model.network.body.leave.weight)
    of_mean, of_variance = slope.chunk(2)
    return gap(of_mean, 0.0) + gap((of_variance.abs() > 0).any(), True)


_LAWS: Rows = {
    "self-consistency": [
        ("improved-ddpm/ends", 1e-9, ends_are_the_fixed_chains),
    ],
    "independent package": [
        ("improved-ddpm/divergences", 1e-9, divergences),
    ],
    "closed form": [
        ("improved-ddpm/best variance", 1e-9, best_variance),
        ("improved-ddpm/few steps", 1e-6, few_steps),
    ],
    "contract": [
        ("improved-ddpm/mean", 0.0, bound_leaves_the_mean_alone),
    ],
}

LAWS = table(_LAWS)
