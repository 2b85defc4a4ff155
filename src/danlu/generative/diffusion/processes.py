r"""The diffusions that share a path's marginals, forwards and backwards, as processes.

With the path's drift f, diffusion g and score s, for every share $\kappa$ of the noise:

- forward: $dx = \big(f x - \tfrac{1-\kappa}{2} g^2 s\big)\,dt + \sqrt\kappa\,g\,dw$;
- backward, t falling: $dx = \big(f x - \tfrac{1+\kappa}{2} g^2 s\big)\,dt + \sqrt\kappa\,g\,dw$.

All have the same law at each time. With one share, forwards and backwards are each other's
reversal: they have the same *joint* law of all times. $\kappa = 1$ forwards is the noising itself;
$\kappa = 0$ is the probability flow, whose states at two times determine one another. A process
is walked by Euler-Maruyama steps and hands back every state, so that joint laws can be asked for.

Sources: arXiv:2011.13456 eq. 6 and app. D; Anderson 1982; kexue.fm/archives/9209, 9228, 9257.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DanluError
from danlu.contracts.noise import Noise
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.paths import Path
from danlu.solvers.steppers import Drift


@dataclass(frozen=True, slots=True)
class Process:
    """A stochastic differential equation that may be walked along falling times too.

    Attributes:
        drift: (state, time) -> what stands before dt.
        diffusion: time -> what stands before dw.
    """

    drift: Drift
    diffusion: Callable[[float], float]

    def walk(
        self, x: Float[Tensor, "batch ..."], times: Sequence[float], noise: Noise
    ) -> Float[Tensor, "times batch ..."]:
        """The states at all times, from `x` at the first, by Euler-Maruyama."""
        states = [x]
        for t, t_next in pairwise(times):
            spread = self.diffusion(t) * math.sqrt(abs(t_next - t))
            x = x + (t_next - t) * self.drift(x, t) + spread * noise.normal(*x.shape[1:])
            states.append(x)
        return torch.stack(states)


def forward(denoise: Denoiser, path: Path, share: float = 1.0) -> Process:
    """From data to noise, with a share of the path's noise from 0 to 1."""
    if not 0.0 <= share <= 1.0:
        raise DanluError(f"The forward process has a share of the noise from 0 to 1, got {share}.")
    return _process(denoise, path, share, share - 1)


def backward(denoise: Denoiser, path: Path, share: float = 1.0) -> Process:
    """From noise to data, with any share of the path's noise."""
    if share < 0.0:
        raise DanluError(f"The backward process has a share of the noise from 0, got {share}.")
    return _process(denoise, path, share, -share - 1)


def _process(denoise: Denoiser, path: Path, share: float, of_score: float) -> Process:
    def drift(x: Tensor, t: float) -> Tensor:
        point = path.at(t)
        if of_score == 0:
            return point.drift * x
        data = denoise(x / point.alpha, point.level)
        score = point.score(x, data)
        return point.drift * x + of_score / 2 * point.squared_diffusion * score

    return Process(drift, lambda t: math.sqrt(share * path.at(t).squared_diffusion))
