r"""The log-density of a point from how well it is denoised: pointwise I-MMSE.

$\log p(x) = -\tfrac d2\log 2\pi e + \int_0^\infty \Big[\frac{d}{1+\hat\sigma^2} -
\frac{E_\varepsilon\|x - D(x + \hat\sigma\varepsilon, \hat\sigma)\|^2}{\hat\sigma^2}\Big]
d\log\hat\sigma$

for the exact denoiser: the standard normal's denoiser errs by $d\hat\sigma^2/(1+\hat\sigma^2)$, and
how much easier a point is to denoise is its density. No ODE, no prior and no divergence are needed.
The levels are drawn, one in each part of an even division of $\log\hat\sigma$, so the estimate has
a standard error; the term $(\|\varepsilon\|^2 - d)/(1+\hat\sigma^2)^2$ of mean zero takes away most
of it. Outside the levels of training both terms are taken as equal. With a denoiser that is not
exact the value is neither exact nor a bound.

Sources: arXiv:2302.03792 eq. 8; Guo, Shamai, Verdú 2005 (I-MMSE).
"""

import math

from jaxtyping import Float
from torch import Tensor

from danlu.contracts.noise import Noise
from danlu.generative.diffusion.bound import RowDenoiser
from danlu.layers.rows import per_row

Rows = Float[Tensor, " batch"]


def gain(denoise: RowDenoiser, x: Float[Tensor, "batch ..."], level: Rows, noise: Noise) -> Rows:
    """The integrand at a level for each example, with one draw of the noise."""
    wide, z = per_row(level, x), noise.normal(*x.shape[1:])
    error = (x - denoise(x + wide * z, level)).flatten(1).square().sum(1)
    dims, square = x[0].numel(), z.flatten(1).square().sum(1)
    return dims / (1 + level**2) - error / level**2 + (square - dims) / (1 + level**2) ** 2


def pointwise(
    denoise: RowDenoiser,
    x: Float[Tensor, "batch ..."],
    noise: Noise,
    levels: tuple[float, float],
    terms: int,
) -> Rows:
    """One estimate of the log-density of each example, nats, by `terms` drawn levels."""
    first, last = (math.log(level) for level in levels)
    width = (last - first) / terms
    value = x.new_full((len(x),), -x[0].numel() / 2 * math.log(2 * math.pi * math.e))
    for k in range(terms):
        level = (first + (k + noise.uniform(1)[:, 0]) * width).exp().to(x)
        value = value + width * gain(denoise, x, level, noise)
    return value
