r"""Exact change of variables along a flow $\dot x = f(x, t)$, with its statistical error.

$\log p_{t_0}(x) = \log p_{t_1}(x_{t_1}) + \int_{t_0}^{t_1} \nabla\!\cdot f(x_t, t)\,dt$

The divergence is exact (one vector-Jacobian product for each number) or Hutchinson's
$v^\top \nabla f\, v$ with Rademacher $v$, drawn once for a whole trajectory; the spread over
several probes is the standard error. What remains is the discretisation of the ODE, hence the
bound `none`.

Sources: arXiv:1810.01367 eq. 8 (Hutchinson), arXiv:2011.13456 eq. 39.
"""

import math

from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DanluError
from danlu.contracts.noise import Noise
from danlu.generative.parts import volumes
from danlu.generative.parts.volumes import Divergence, Flowed, exact_trace, flow
from danlu.solvers.steppers import RungeKutta4

__all__ = [
    "Flowed",
    "RungeKutta4",
    "dense_at_ends",
    "exact_trace",
    "flow",
    "gaussian_log_density",
    "hutchinson",
]


def hutchinson(noise: Noise, probes: int, shape: tuple[int, ...]) -> Divergence:
    """Divergence estimates with enough probes to have an error.

    Raises:
        DanluError: they are not.
    """
    if probes < 2:
        raise DanluError(f"probes must be at least 2 to have an error, got {probes}.")
    return volumes.hutchinson(noise, probes, shape)


def dense_at_ends(steps: int, first: float, last: float) -> list[float]:
    """Times between two ends, dense near both, where flows bend most."""
    return [
        first + (last - first) * (1 - math.cos(math.pi * i / steps)) / 2 for i in range(steps + 1)
    ]


def gaussian_log_density(x: Float[Tensor, "batch ..."], std: float) -> Float[Tensor, " batch"]:
    """Log-density of independent normal numbers with the given standard deviation."""
    each = -0.5 * (x / std).square() - math.log(std) - 0.5 * math.log(2 * math.pi)
    return each.flatten(1).sum(1)
