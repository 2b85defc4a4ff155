r"""The variational bound of the reverse chain over noise levels $L_1 < \dots < L_T$.

$\log p(x_0) \ge \log p(x_0|y_1) - \sum_{i=2}^T KL\big(q(y_{i-1}|y_i,x_0)\,\|\,p(y_{i-1}|y_i)\big)
- KL\big(q(y_T|x_0)\,\|\,N(0, L_T^2)\big)$ in expectation over the noise.

The chain is that of ancestral sampling from $N(0, L_T^2)$. With its small variance a term is
$\tfrac12(L_{i-1}^{-2} - L_i^{-2})\,\|x_0 - D(y_i, L_i)\|^2$. The last step is a Gaussian of
deviation $L_1$ around D, over the bins of discrete data or as a density. All T terms may be
summed, or some drawn: term i with probability $\propto\log(L_i/L_{i-1})$, which makes the drawn
values nearly constant, and one draw in each K-th of that law.

Sources: arXiv:2006.11239 eq. 5 and 13, arXiv:2107.00630 eq. 13, arXiv:2102.09672 §3.3.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DataDescription
from danlu.contracts.noise import Noise
from danlu.generative.diffusion.solvers.ancestral import forward_variance, given_data
from danlu.layers.rows import per_row

Rows = Float[Tensor, " batch"]
RowDenoiser = Callable[[Float[Tensor, "batch ..."], Rows], Float[Tensor, "batch ..."]]
"""A denoiser with a noise level for each row."""


class ReverseChain:
    """The reverse chain over rising noise levels, with one of its two fixed variances."""

    def __init__(self, levels: Sequence[float], variance: str = "small") -> None:
        self.levels = torch.tensor(levels, dtype=torch.float64)
        steps = [(level, lower) for lower, level in pairwise(levels)]
        given = [given_data(*step) for step in steps]
        used = given if variance == "small" else [(0.0, forward_variance(*step)) for step in steps]
        ratios = [v / w for (_, v), (_, w) in zip(given, used, strict=True)]
        # KL of two Gaussians: a part for the variances (each number), a factor for the means.
        self.spread = torch.tensor([(r - 1 - math.log(r)) / 2 for r in ratios]).double()
        self.factor = torch.tensor(
            [(1 - weight) ** 2 / (2 * w) for (weight, _), (_, w) in zip(given, used, strict=True)]
        ).double()
        self.shares = torch.tensor([math.log(level / lower) for level, lower in steps]).double()
        self.shares /= self.shares.sum()

    def bound(
        self,
        denoise: RowDenoiser,
        x: Float[Tensor, "batch ..."],
        noise: Noise,
        description: DataDescription,
        terms: int,
    ) -> Rows:
        """One unbiased estimate of the bound for each example, nats."""
        lowest, highest = float(self.levels[0]), float(self.levels[-1])
        y = x + lowest * noise.normal(*x.shape[1:])
        decoded = denoise(y, x.new_full((len(x),), lowest))
        value = decoder_log_prob(x, decoded, lowest, description)
        value = value - x.flatten(1).square().sum(1) / (2 * highest**2)
        if terms >= len(self.shares):
            for i in range(len(self.shares)):
                value = value - self.term(denoise, x, noise, torch.full((len(x),), i))
            return value
        edges = self.shares.cumsum(0)
        for k in range(terms):
            u = (k + noise.uniform(1)[:, 0].double().cpu()) / terms
            index = torch.searchsorted(edges, u).clamp(max=len(edges) - 1)
            chance = (terms * self.shares[index]).to(x)
            value = value - self.term(denoise, x, noise, index) / chance
        return value

    def term(
        self,
        denoise: RowDenoiser,
        x: Float[Tensor, "batch ..."],
        noise: Noise,
        index: Tensor,
    ) -> Rows:
        """KL of the step down from level `index + 1`, with one draw of the noise."""
        level = self.levels[index + 1].to(x)
        y = x + per_row(level, x) * noise.normal(*x.shape[1:])
        error = (x - denoise(y, level)).flatten(1).square().sum(1)
        return self.factor[index].to(x) * error + self.spread[index].to(x) * x[0].numel()


def decoder_log_prob(
    x: Float[Tensor, "batch ..."],
    mean: Float[Tensor, "batch ..."],
    std: float,
    description: DataDescription,
) -> Rows:
    """Log-probability of levels, or log-density of continuous data, under a Gaussian."""
    if description.levels is None:
        each = -0.5 * ((x - mean) / std).square() - math.log(std * math.sqrt(2 * math.pi))
        return each.flatten(1).sum(1)
    half = description.spacing / 2
    upper, lower = (x + half - mean) / std, (x - half - mean) / std
    # The end bins are open.
    upper = torch.where(x > description.high - half, math.inf, upper)
    lower = torch.where(x < description.low + half, -math.inf, lower)
    return log_normal_mass(lower, upper).flatten(1).sum(1)


def log_normal_mass(
    lower: Float[Tensor, "*shape"], upper: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Log of the standard normal mass between two bounds, exact far in either tail."""
    flip = lower + upper > 0
    lower, upper = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
    above, below = torch.special.log_ndtr(upper), torch.special.log_ndtr(lower)
    return above + torch.log1p(-(below - above).exp())
