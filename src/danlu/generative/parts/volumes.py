r"""What a flow $\dot x = f(x, t)$ does to volumes: the integral of its divergence.

$\log|\det \partial x_{t_1}/\partial x_{t_0}| = \int_{t_0}^{t_1} \nabla\!\cdot f(x_t, t)\,dt$

The divergence is exact (one vector-Jacobian product for each number) or Hutchinson's
$v^\top \nabla f\, v$ with Rademacher $v$, drawn once for a whole trajectory, so that the estimate
is the integral of one smooth function. State and volume are one vector, so both have the order of
the fourth-order rule, and where gradients are wanted they lead through its steps.

Sources: arXiv:1810.01367 eq. 4 and 8.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts.noise import Noise
from danlu.solvers.steppers import Drift, RungeKutta4

Field = Callable[[Tensor], Tensor]
Rates = Callable[[Tensor, float, bool], tuple[Tensor, Tensor]]
"""(state that has a gradient, time, whether the result is learned from) -> drift and divergence."""


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


@dataclass(frozen=True, slots=True)
class Divergence:
    """How the divergence of a drift is found at a state: exactly, or estimated by probes.

    Attributes:
        vectors: `[probes, batch, *shape]`; None takes every number by itself.
    """

    vectors: Float[Tensor, "probes batch ..."] | None = None

    @property
    def probes(self) -> int:
        """Number of estimates; 1 where it is exact."""
        return 1 if self.vectors is None else len(self.vectors)

    def rates(
        self, drift: Field, x: Float[Tensor, "batch ..."], create_graph: bool = False
    ) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, "probes batch"]]:
        """The drift at a state that has a gradient, and its divergence there.

        `create_graph` is for a divergence that has gradients itself.
        """
        if torch.compiler.is_compiling():  # a graph holds derivatives as functions alone
            value, pull = torch.func.vjp(drift, x)[:2]
            return value, self._of(value, lambda vector: pull(vector)[0])
        value = drift(x)
        return value, self(x, value, create_graph)

    def __call__(
        self,
        x: Float[Tensor, "batch ..."],
        value: Float[Tensor, "batch ..."],
        create_graph: bool = False,
    ) -> Float[Tensor, "probes batch"]:
        """The divergence from a state and the drift that was computed there."""

        def pull(vector: Tensor) -> Tensor:
            (gradient,) = torch.autograd.grad(
                value, x, vector, retain_graph=True, create_graph=create_graph
            )
            return gradient

        return self._of(value, pull)

    def _of(self, value: Tensor, pull: Field) -> Float[Tensor, "probes batch"]:
        """The divergence from products of vectors with the Jacobian of the drift."""
        if self.vectors is not None:
            return torch.stack([(pull(v) * v).flatten(1).sum(1) for v in self.vectors])
        total = value.new_zeros(len(value))
        for i in range(value[0].numel()):
            one = torch.zeros_like(value).flatten(1)
            one[:, i] = 1
            total = total + pull(one.view_as(value)).flatten(1)[:, i]
        return total[None]


exact_trace = Divergence()
"""One vector-Jacobian product for each number."""


def hutchinson(noise: Noise, probes: int, shape: tuple[int, ...]) -> Divergence:
    """Divergence estimates with `probes` fixed Rademacher vectors for each example."""
    return Divergence(torch.stack([noise.uniform(*shape).sub(0.5).sign() for _ in range(probes)]))


def flow(
    drift: Drift, x: Float[Tensor, "batch ..."], times: list[float], divergence: Divergence
) -> Flowed:
    """Carry `x` along the times and integrate the divergence, by the fourth-order rule.

    The result has gradients where they are enabled.
    """

    def rates(at: Tensor, t: float, learning: bool) -> tuple[Tensor, Tensor]:
        return divergence.rates(lambda x: drift(x, t), at, learning)

    return carried(rates, x, times, divergence.probes)


def carried(rates: Rates, x: Float[Tensor, "batch ..."], times: list[float], probes: int) -> Flowed:
    """`flow` by a drift and a divergence that come together."""
    batch, size, shape = len(x), math.prod(x.shape[1:]), x.shape
    learning = torch.is_grad_enabled()

    def joint(state: Tensor, t: float) -> Tensor:
        at = state[:, :size].reshape(shape)
        with torch.enable_grad():
            at = at if at.requires_grad and learning else at.detach().requires_grad_()
            value, found = rates(at, t, learning)
        if not learning:
            value, found = value.detach(), found.detach()
        return torch.cat([value.flatten(1), found.T], dim=1)

    state = torch.cat([x.flatten(1), x.new_zeros(batch, probes)], dim=1)
    stepper = RungeKutta4()
    for t, t_next in pairwise(times):
        state = stepper.step(joint, state, t, t_next)
    evaluations = stepper.evaluations * (len(times) - 1)
    return Flowed(state[:, :size].reshape(shape), state[:, size:].T, evaluations)
