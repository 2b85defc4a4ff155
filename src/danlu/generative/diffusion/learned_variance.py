r"""The reverse chain with a variance that the network gives, between the two that are known.

A step from level $L_i$ to $L_{i-1}$ has the mean of the fixed chain and, for each number, the
variance $v = \exp(u\log v_{large} + (1-u)\log v_{small})$ with the network's share u. Its term of
the bound is, summed over numbers,

$KL = \tfrac12\Big(\frac{v_{small}}{v} - 1 - \log\frac{v_{small}}{v}\Big) +
\frac{(1-w)^2}{2v}\,(x_0 - D)^2$, $w = L_{i-1}^2/L_i^2$.

It is least where v is the variance of the true reverse step.

Sources: arXiv:2102.09672 eq. 15 and 16; arXiv:2201.06503 (the optimal variance).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from danlu.contracts.noise import Noise
from danlu.generative.diffusion.bound import ReverseChain, RowDenoiser
from danlu.generative.diffusion.solvers.ancestral import forward_variance, given_data
from danlu.layers.rows import per_row

Level = float | Float[Tensor, " batch"]
Batched = Float[Tensor, "batch ..."]
Both = Callable[[Batched, Any], tuple[Batched, Batched]]
"""(noisy data, level or levels) -> the expected data and the shares of the variance."""


class Noted:
    """A denoiser that notes the shares which the network gave at its last call.

    Attributes:
        shares: of the last call.
    """

    shares: Tensor

    def __init__(self, both: Both) -> None:
        self.both = both

    def __call__(self, y: Batched, level: Level) -> Batched:
        """E[x0 | y] at a noise level."""
        data, self.shares = self.both(y, level)
        return data


class LearnedChain(ReverseChain):
    """The reverse chain over rising noise levels with shares of its variance."""

    def __init__(self, levels: Sequence[float]) -> None:
        super().__init__(levels)
        small = torch.tensor([given_data(b, a) for a, b in pairwise(levels)]).double()
        large = torch.tensor([forward_variance(b, a) for a, b in pairwise(levels)]).double()
        self.means = (1 - small[:, 0]).square() / (2 * small[:, 1])
        self.growth = (large / small[:, 1]).log()

    def divergence(
        self, index: Int[Tensor, " batch"], x: Batched, data: Batched, shares: Batched
    ) -> Batched:
        """KL of the step down from level `index + 1`, for each number."""
        wide = (-1, *[1] * (x.dim() - 1))
        index = index.cpu()
        log_ratio = -shares * self.growth[index].to(shares).view(wide)  # of the small variance to v
        error = self.means[index].to(shares).view(wide) * (x - data).square()
        return (log_ratio.exp() - 1 - log_ratio) / 2 + log_ratio.exp() * error

    @override
    def term(
        self,
        denoise: RowDenoiser,
        x: Float[Tensor, "batch ..."],
        noise: Noise,
        index: Tensor,
    ) -> Float[Tensor, " batch"]:
        assert isinstance(denoise, Noted), "the shares come with the denoised data"
        level = self.levels[index + 1].to(x)
        y = x + per_row(level, x) * noise.normal(*x.shape[1:])
        data = denoise(y, level)
        return self.divergence(index, x, data, denoise.shares).flatten(1).sum(1)
