"""Laws of the variational bound of the reverse chain, on Gaussian data."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from danlu.contracts import DataDescription
from danlu.contracts.noise import BatchNoise
from danlu.generative.diffusion.analytic import GaussianDenoiser
from danlu.generative.diffusion.bound import ReverseChain, decoder_log_prob
from danlu.generative.diffusion.discrete import Discrete, linear_betas
from danlu.generative.diffusion.solvers.ancestral import Ancestral
from danlu.generative.diffusion.solvers.solver import run
from danlu.laws.draws import seeded
from danlu.laws.gaps import deviation, excess, gap, largest, sigmas
from danlu.laws.generative.diffusion.test_bed import EachDraw, RecordedNoise, points
from danlu.laws.law import Rows, table

LINE = DataDescription(shape=(1,), levels=None, low=-3.0, high=3.0)
STD = 0.8
NODES = 8


def gaussian() -> GaussianDenoiser:
    """The exact denoiser of numbers around 0.3."""
    return GaussianDenoiser(
        torch.tensor([0.3], dtype=torch.float64), torch.tensor([[STD**2]], dtype=torch.float64)
    )


def levels_of(steps: int) -> list[float]:
    """The noise levels of a table of shares."""
    return Discrete(linear_betas(steps)).log_levels.exp().tolist()


def expected_bound(x: Tensor, chain: ReverseChain) -> Tensor:
    """The bound of each number, its expectation over the noise by Gauss-Hermite quadrature.

    With a Gaussian's denoiser every term is a square of an affine function of the noise, for
    which few nodes are exact.
    """
    nodes, weights = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(NODES))
    rows, noise = x.repeat_interleave(NODES, 0), RecordedNoise(nodes.repeat(len(x))[:, None])
    values = chain.bound(gaussian(), rows, noise, LINE, len(chain.levels))
    return values.view(len(x), NODES) @ (weights / weights.sum())


def bound_is_below() -> float:
    """Over Gaussian data the bound is below log p; its gap halves with twice the steps.

    The gap is of first order in the steps; what a fixed first and last level cost stays.
    """
    nodes, weights = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(NODES))
    x = (0.3 + STD * nodes)[:, None]
    exact, worst = gaussian().log_density(x), 0.0
    for variance in ("small", "large"):
        gaps = []
        for steps in (200, 400, 800):
            # The ends stay where they are, so that only the steps between become finer.
            levels = torch.linspace(math.log(1e-3), math.log(200.0), steps).double().exp()
            below = exact - expected_bound(x, ReverseChain(levels.tolist(), variance))
            gaps.append(((below * weights).sum() / weights.sum()).item())
        worst = largest(worst, excess(torch.zeros(3), torch.tensor(gaps)))
        worst = largest(worst, *(gap(fine / coarse, 0.5) for coarse, fine in pairwise(gaps)))
    return worst


def bound_of_the_chain() -> float:
    """DDPM's bound is nowhere above the exact log p of its own chain."""
    x = torch.linspace(-2.5, 2.5, 21, dtype=torch.float64)[:, None]
    levels, worst = levels_of(100), 0.0
    for variance in ("small", "large"):
        mean, spread = chain_moments(levels, variance)
        exact = Normal(mean, spread).log_prob(x)[:, 0]
        worst = largest(worst, excess(expected_bound(x, ReverseChain(levels, variance)), exact))
    return worst


def chain_moments(levels: list[float], variance: str) -> tuple[float, float]:
    """Mean and deviation of what the chain makes, by its affine steps from pure noise."""
    grid = [*levels[::-1], 0.0]
    exact, rows = gaussian(), len(grid) + 2
    y = torch.zeros(rows, 1, dtype=torch.float64)
    y[-1] = grid[0]
    found = run(Ancestral(variance), exact, y, grid, EachDraw(rows))[:, 0]
    noise = (found[1:] - found[0]).square().sum().item()
    return found[0].item(), math.sqrt(noise + levels[0] ** 2)


def terms_are_divergences() -> float:
    """Every term is the divergence of DDPM's two Gaussian steps."""
    betas = linear_betas(20)
    bars = (1 - betas).cumprod(0)
    x, z, worst = points(16)[:, :1], points(16)[:, 1:], 0.0
    for variance in ("small", "large"):
        chain = ReverseChain(((1 - bars) / bars).sqrt().tolist(), variance)
        for i in (1, 7, 19):
            beta, bar, before = betas[i], bars[i], bars[i - 1]
            noisy = bar.sqrt() * x + (1 - bar).sqrt() * z
            guess = gaussian()(noisy / bar.sqrt(), math.sqrt((1 - bar) / bar))

            def mean(data: Tensor, beta=beta, bar=bar, before=before, noisy=noisy) -> Tensor:  # noqa: ANN001
                of_data = before.sqrt() * beta / (1 - bar)
                of_state = (1 - beta).sqrt() * (1 - before) / (1 - bar)
                return of_data * data + of_state * noisy

            small = (beta * (1 - before) / (1 - bar)).sqrt()
            used = small if variance == "small" else beta.sqrt()
            known = kl_divergence(Normal(mean(x), small), Normal(mean(guess), used))[:, 0]
            index = torch.full((len(x),), i - 1)
            found = chain.term(gaussian(), x, RecordedNoise(z), index)
            worst = largest(worst, gap(found, known))
    return worst


def drawn_terms_are_unbiased() -> float:
    """Terms drawn at random have the summed bound as their mean, in standard errors."""
    chain = ReverseChain(levels_of(50))
    x = torch.tensor([[0.7]], dtype=torch.float64).expand(4000, 1)
    with seeded():
        drawn = chain.bound(gaussian(), x, BatchNoise(4000, dtype=torch.float64), LINE, 4)
    return deviation(drawn.mean(), expected_bound(x[:1], chain)[0], drawn.std() / len(drawn) ** 0.5)


def decoder_sums_to_one() -> float:
    """The last step's probabilities of all levels sum to 1."""
    grey = DataDescription(shape=(1,), levels=9, low=-1.0, high=1.0)
    levels = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    worst = 0.0
    for mean in (-3.0, -0.2, 0.9, 40.0):
        for std in (0.01, 0.3, 5.0):
            mass = decoder_log_prob(levels, torch.full_like(levels, mean), std, grey)
            worst = largest(worst, gap(mass.exp().sum().item(), 1))
    return worst


_LAWS: Rows = {
    "quadrature": [
        ("diffusion/bound is below", 2e-2, bound_is_below),
    ],
    "closed form": [
        ("diffusion/bound of the chain", 0.0, bound_of_the_chain),
    ],
    "definition": [
        ("diffusion/bound terms", 1e-10, terms_are_divergences),
    ],
    "statistics": [
        ("diffusion/drawn terms", sigmas(), drawn_terms_are_unbiased),
    ],
    "enumeration": [
        ("diffusion/last step", 1e-12, decoder_sums_to_one),
    ],
}

LAWS = table(_LAWS)
