r"""How training times are drawn on (0, 1), always stratified over the batch.

Row i of n draws $u = (i + U)/n$, so each batch covers the whole range and the loss has less
variance. `uniform`: $t = u$. `logit_normal`: $t = \sigma(m + s\,\Phi^{-1}(u))$ with m = 0, s = 1,
which spends more of the training where the velocity is hard.

Sources: arXiv:2209.03003 (uniform), arXiv:2403.03206 §3.1 (logit-normal).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.solvers.noise import BatchNoise

Quantile = Callable[[Tensor], Tensor]


def uniform(u: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """The quantile function of the uniform law."""
    return u


def logit_normal(u: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """The quantile function of the logit-normal law."""
    return torch.special.ndtri(u).sigmoid()


def stratified(noise: BatchNoise, quantile: Quantile) -> Float[Tensor, " batch"]:
    """A time for each example in random order, one in each n-th of the law."""
    return quantile(noise.stratified().clamp(1e-6, 1 - 1e-6))
