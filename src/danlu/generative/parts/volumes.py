r"""What a flow $\dot x = f(x, t)$ does to volumes: the integral of its divergence.

$\log|\det \partial x_{t_1}/\partial x_{t_0}| = \int_{t_0}^{t_1} \nabla\!\cdot f(x_t, t)\,dt$

The divergence is exact (one vector-Jacobian product for each number) or Hutchinson's
$v^\top \nabla f\, v$ with Rademacher $v$, drawn once for a whole trajectory, so that the estimate
is the integral of one smooth function. State and volume are one vector, so both have the order of
the fourth-order rule, and where gradients are wanted they lead through its steps.

Sources: arXiv:1810.01367 eq. 4 and 8.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts.noise import Noise
from danlu.solvers.steppers import Drift, RungeKutta4


@runtime_checkable
class Divergence(Protocol):
    """The divergence of a drift at a state, or estimates of it."""

    def __call__(
        self, x: Tensor, value: Tensor, create_graph: bool = False
    ) -> Float[Tensor, "probes batch"]:
        """From the state and the drift there; `create_graph` for a result with gradients."""
        ...


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


def exact_trace(
    x: Float[Tensor, "batch ..."], value: Float[Tensor, "batch ..."], create_graph: bool = False
) -> Tensor:
    """The divergence by one vector-Jacobian product for each number; `[1, batch]`."""
    flat = value.flatten(1)
    total = x.new_zeros(len(x))
    for i in range(flat.shape[1]):
        (gradient,) = torch.autograd.grad(
            flat[:, i].sum(), x, retain_graph=True, create_graph=create_graph
        )
        total = total + gradient.flatten(1)[:, i]
    return total[None]


def hutchinson(noise: Noise, probes: int, shape: tuple[int, ...]) -> Divergence:
    """Divergence estimates with `probes` fixed Rademacher vectors for each example."""
    vectors = [noise.uniform(*shape).sub(0.5).sign() for _ in range(probes)]

    def divergence(
        x: Tensor, value: Tensor, create_graph: bool = False
    ) -> Float[Tensor, "probes batch"]:
        rows = []
        for vector in vectors:
            (gradient,) = torch.autograd.grad(
                value, x, vector, retain_graph=True, create_graph=create_graph
            )
            rows.append((gradient * vector).flatten(1).sum(1))
        return torch.stack(rows)

    return divergence


def flow(
    drift: Drift, x: Float[Tensor, "batch ..."], times: list[float], divergence: Divergence
) -> Flowed:
    """Carry `x` along the times and integrate the divergence, by the fourth-order rule.

    The result has gradients where they are enabled.
    """
    batch, size, shape = len(x), math.prod(x.shape[1:]), x.shape
    learning = torch.is_grad_enabled()

    def rates(at: Tensor, t: float) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            at = at if at.requires_grad and learning else at.detach().requires_grad_()
            value = drift(at, t)
            found = divergence(at, value, learning)
        return (value, found) if learning else (value.detach(), found.detach())

    def joint(state: Tensor, t: float) -> Tensor:
        value, found = rates(state[:, :size].reshape(shape), t)
        return torch.cat([value.flatten(1), found.T], dim=1)

    probes = len(rates(x, times[0])[1])
    state = torch.cat([x.flatten(1), x.new_zeros(batch, probes)], dim=1)
    stepper = RungeKutta4()
    for t, t_next in pairwise(times):
        state = stepper.step(joint, state, t, t_next)
    evaluations = stepper.evaluations * (len(times) - 1)
    return Flowed(state[:, :size].reshape(shape), state[:, size:].T, evaluations)
