r"""The step that exponential integrators share: exact for the decay, a polynomial for the denoiser.

In $\lambda = -\log\hat\sigma$ every reverse equation with the marginals of the path reads
$dy = (1 + \kappa)(D - y)\,d\lambda + \sqrt{2\kappa}\,\hat\sigma\,dw$, where the *share*
$\kappa(\hat\sigma) = \eta^2/g^2 \ge 0$ is free: 0 is the probability flow, 1 the reverse of the
forward diffusion. Over a step of length h, with $K = \int\kappa\,d\lambda$ and $H = h + K$,

$y_s = e^{-H} y + \int_0^1 H e^{-H(1-u)} D(u)\,du + \hat\sigma_s\sqrt{1 - e^{-2K}}\,z$.

A polynomial through known denoised states stands for D(u): constant through one, order 3 through
three. Through two the weight of the slope is $(1 - e^{-H})/2$, which agrees to the order.

Sources: arXiv:2211.01095 eq. 8 and 18, arXiv:2302.04867 §3.1; kexue.fm/archives/9257 (any share).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from danlu.contracts.noise import Noise

Share = Callable[[float], float]
"""The share of fresh noise at a noise level."""
Known = tuple[float, Float[Tensor, "batch ..."]]
"""A noise level and the denoised state there."""


def no_noise(level: float) -> float:
    """The probability flow: no fresh noise."""
    return 0.0


def all_noise(level: float) -> float:
    """The reverse of the forward diffusion: as much fresh noise as it had."""
    return 1.0


def spent(share: Share, level: float, level_next: float) -> float:
    """The integral of a share over a step in lambda, by Simpson's rule."""
    middle = math.sqrt(level * level_next)
    mean = (share(level) + 4 * share(middle) + share(level_next)) / 6
    return mean * math.log(level / level_next)


def interpolation(nodes: Sequence[float], moments: Sequence[float]) -> list[float]:
    """Weights at nodes by which all polynomials of their degree have the given moments."""
    rows = np.vander(np.array(nodes), len(nodes), increasing=True).T
    return np.linalg.solve(rows, np.array(moments)).tolist()


def advance(
    y: Float[Tensor, "batch ..."],
    level: float,
    level_next: float,
    known: Sequence[Known],
    fresh: float = 0.0,
) -> Float[Tensor, "batch ..."]:
    """The mean of the next state.

    Args:
        y: state at `level`.
        level: where the step starts.
        level_next: where it ends.
        known: denoised states, the first one at `level`; the others at any levels.
        fresh: the integral of the share over the step.
    """
    h = math.log(level / level_next)
    exponent = h + fresh
    whole = -math.expm1(-exponent)
    nodes = [math.log(level / at) / h for at, _ in known]
    if len(known) == 1:
        weights = [whole]
    elif len(known) == 2:
        slope = whole / 2 / nodes[1]
        weights = [whole - slope, slope]
    else:
        moments = [whole]
        for power in range(1, len(known)):
            moments.append(1 - power / exponent * moments[-1])
        weights = interpolation(nodes, moments)
    mean = (1 - whole) * y
    for weight, (_, data) in zip(weights, known, strict=True):
        mean = mean + weight * data
    return mean


def renewed(
    mean: Float[Tensor, "batch ..."], level_next: float, fresh: float, noise: Noise
) -> Float[Tensor, "batch ..."]:
    """A next state of the given mean with the fresh noise of a step; draws none where none is."""
    if fresh == 0.0:
        return mean
    std = level_next * math.sqrt(-math.expm1(-2 * fresh))
    return mean + std * noise.normal(*mean.shape[1:])
