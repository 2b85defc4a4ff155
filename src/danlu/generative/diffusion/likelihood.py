r"""Exact change of variables along a flow $\dot x = f(x, t)$, with its statistical error.

$\log p_{t_0}(x) = \log p_{t_1}(x_{t_1}) + \int_{t_0}^{t_1} \nabla\!\cdot f(x_t, t)\,dt$

The divergence is exact (one vector-Jacobian product for each number) or Hutchinson's
$v^\top \nabla f\, v$ with Rademacher $v$, drawn once for a whole trajectory; the spread over
several probes is the standard error. What remains is the discretisation of the ODE, hence the
bound `none`.

Sources: arXiv:1810.01367 eq. 8 (Hutchinson), arXiv:2011.13456 eq. 39.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DanluError
from danlu.solvers.noise import Noise
from danlu.solvers.steppers import Drift, RungeKutta4

Divergence = Callable[[Tensor, Tensor], Float[Tensor, "probes batch"]]
LogDensity = Callable[[Tensor], Float[Tensor, " batch"]]


@dataclass(frozen=True, slots=True)
class Flowed:
    """Where the flow led and what it did to volumes.

    Attributes:
        end: the state at the last time.
        volume: `[probes, batch]`, the integral of the divergence for each probe.
        evaluations: drift evaluations.
    """

    end: Float[Tensor, "batch ..."]
    volume: Float[Tensor, "probes batch"]
    evaluations: int

    def mean(self) -> Float[Tensor, " batch"]:
        """The integral of the divergence."""
        return self.volume.mean(0)

    def stderr(self) -> Float[Tensor, " batch"]:
        """Its standard error over the probes; zeros when the trace was exact."""
        probes = len(self.volume)
        if probes == 1:
            return torch.zeros_like(self.volume[0])
        return self.volume.std(0) / math.sqrt(probes)


def exact_trace(x: Float[Tensor, "batch ..."], value: Float[Tensor, "batch ..."]) -> Tensor:
    """The divergence by one vector-Jacobian product for each number; `[1, batch]`."""
    flat = value.flatten(1)
    total = x.new_zeros(len(x))
    for i in range(flat.shape[1]):
        (gradient,) = torch.autograd.grad(flat[:, i].sum(), x, retain_graph=True)
        total = total + gradient.flatten(1)[:, i]
    return total[None]


def hutchinson(noise: Noise, probes: int, shape: tuple[int, ...]) -> Divergence:
    """Divergence estimates with `probes` fixed Rademacher vectors for each example."""
    if probes < 2:
        raise DanluError(f"probes must be at least 2 to have an error, got {probes}.")
    vectors = [noise.uniform(*shape).sub(0.5).sign() for _ in range(probes)]

    def divergence(x: Tensor, value: Tensor) -> Float[Tensor, "probes batch"]:
        rows = []
        for vector in vectors:
            (gradient,) = torch.autograd.grad(value, x, vector, retain_graph=True)
            rows.append((gradient * vector).flatten(1).sum(1))
        return torch.stack(rows)

    return divergence


def flow(
    drift: Drift, x: Float[Tensor, "batch ..."], times: list[float], divergence: Divergence
) -> Flowed:
    """Carry `x` along the times and integrate the divergence, by the fourth-order rule.

    State and volume are one vector, so both have the stepper's order.
    """
    batch, size = len(x), math.prod(x.shape[1:])
    shape = x.shape

    def joint(state: Tensor, t: float) -> Tensor:
        with torch.enable_grad():
            at = state[:, :size].detach().reshape(shape).requires_grad_()
            value = drift(at, t)
            rates = divergence(at, value)
        return torch.cat([value.detach().flatten(1), rates.detach().T], dim=1)

    with torch.enable_grad():
        probe = x.detach().requires_grad_()
        probes = len(divergence(probe, drift(probe, times[0])))
    state = torch.cat([x.detach().flatten(1), x.new_zeros(batch, probes)], dim=1)
    stepper = RungeKutta4()
    for t, t_next in pairwise(times):
        state = stepper.step(joint, state, t, t_next)
    evaluations = stepper.evaluations * (len(times) - 1)
    return Flowed(state[:, :size].reshape(shape), state[:, size:].T, evaluations)


def dense_at_ends(steps: int, first: float, last: float) -> list[float]:
    """Times between two ends, dense near both, where flows bend most."""
    return [
        first + (last - first) * (1 - math.cos(math.pi * i / steps)) / 2 for i in range(steps + 1)
    ]


def gaussian_log_density(x: Float[Tensor, "batch ..."], std: float) -> Float[Tensor, " batch"]:
    """Log-density of independent normal numbers with the given standard deviation."""
    each = -0.5 * (x / std).square() - math.log(std) - 0.5 * math.log(2 * math.pi)
    return each.flatten(1).sum(1)
