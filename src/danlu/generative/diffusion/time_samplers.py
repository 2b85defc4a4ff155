r"""How training times are drawn, always stratified over the batch.

Row i of n draws $u = (i + U)/n$, so each batch covers the whole range and the loss has less
variance; a member turns u into a time of the path.

- uniform: $t = u$.
- logit-normal: $t = \text{sigmoid}(m + s\,\Phi^{-1}(u))$ with m = 0, s = 1, which spends more of
  the training where the velocity is hard.
- log-normal: $\ln\hat\sigma = -1.2 + 1.2\,\Phi^{-1}(u)$, at middling noise levels.
- steps: one of the T times of a discrete path, each as often.

Sources: arXiv:2209.03003 (uniform), arXiv:2403.03206 §3.1 (logit-normal), arXiv:2206.00364 tab. 1
(log-normal), arXiv:2006.11239 alg. 1 (steps), arXiv:2107.00630 app. I.1 (stratified).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DanluError
from danlu.contracts.noise import BatchNoise
from danlu.generative.diffusion.discrete import Discrete
from danlu.generative.diffusion.paths import Path

TimeSampler = Callable[[Float[Tensor, " batch"], Path], Float[Tensor, " batch"]]
"""(uniform numbers, path) -> times."""

LOG_LEVEL_MEAN, LOG_LEVEL_STD = -1.2, 1.2


def uniform(u: Float[Tensor, " batch"], path: Path) -> Float[Tensor, " batch"]:
    """Every time as often."""
    return u


def logit_normal(u: Float[Tensor, " batch"], path: Path) -> Float[Tensor, " batch"]:
    """Middling times more often."""
    return torch.special.ndtri(u).sigmoid()


def log_normal(u: Float[Tensor, " batch"], path: Path) -> Float[Tensor, " batch"]:
    """Middling noise levels more often, whatever the path."""
    return path.times((LOG_LEVEL_MEAN + LOG_LEVEL_STD * torch.special.ndtri(u)).exp())


def steps(u: Float[Tensor, " batch"], path: Path) -> Float[Tensor, " batch"]:
    """The times of the path's table.

    Raises:
        DanluError: the path has no table.
    """
    if not isinstance(path, Discrete):
        raise DanluError(f"The time sampler 'steps' needs a discrete path, not {type(path)}.")
    return ((u * path.steps).floor() + 1) / path.steps


def stratified(noise: BatchNoise, sampler: TimeSampler, path: Path) -> Float[Tensor, " batch"]:
    """A time for each example in random order, one in each n-th of the law, within training's."""
    t = sampler(noise.stratified().clamp(1e-6, 1 - 1e-6), path)
    return t.clamp(path.earliest, path.latest)
