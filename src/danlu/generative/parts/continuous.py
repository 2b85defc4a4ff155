r"""A bijection by an ordinary differential equation: any network is a velocity.

The code of $x$ is the end at $t = 1$ of $\dot x = f_\theta(x, t, c)$ from $x$ at $t = 0$, and
$\log|\det J| = \int_0^1 \nabla\!\cdot f_\theta\,dt$. Decoding runs the equation backwards. The
divergence is exact, at the cost of a vector-Jacobian product for each number, or estimated by
Hutchinson's probe, which is drawn once for the whole solve. The discretised solve is what is
trained and reported: an error of the fourth order in its steps remains, hence no bound.

Sources: arXiv:1810.01367 (FFJORD), arXiv:1806.07366 §4 (continuous normalising flows).
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.conditioning import conditioner
from danlu.contracts import Bound, DanluError, Kind, Told
from danlu.contracts.noise import Noise
from danlu.generative.chain import Evaluations, Layer
from danlu.generative.parts.coupling_networks import FEATURES
from danlu.generative.parts.volumes import Divergence, carried, exact_trace, hutchinson
from danlu.layers.time import TimeEmbedding
from danlu.solvers.steppers import RungeKutta4

TIME_FEATURES, HIGHEST = 8, 4.0
"""A velocity that changes slowly in time is followed by few steps."""


class Velocity(nn.Module):
    """A network of data, time and condition."""

    def __init__(self, network: nn.Module, kind: Kind | None) -> None:
        super().__init__()
        self.network = network
        self.time = TimeEmbedding(TIME_FEATURES, highest=HIGHEST)
        self.enter = nn.Linear(TIME_FEATURES, FEATURES)
        self.classes = conditioner(kind, FEATURES)

    def forward(
        self, x: Float[Tensor, "batch ..."], t: Float[Tensor, " batch"], condition: Told
    ) -> Float[Tensor, "batch ..."]:
        """The velocity of each row."""
        return self.network(x, self.enter(self.time(t)) + self.classes.vector(condition, len(x)))


class Continuous(Layer):
    """The flow of a velocity, with the exact divergence.

    Args:
        velocity: maps (x, t for each row, a condition or None) to the shape of x; smooth.
        steps: of the fourth-order rule.
    """

    bound: ClassVar[Bound] = Bound.NONE
    tried = ((2,),)

    def __init__(self, velocity: nn.Module, *, steps: int) -> None:
        super().__init__()
        if steps < 1:
            raise DanluError(f"A flow needs at least one step, got {steps}.")
        self.velocity = velocity
        self.steps = steps
        spent = RungeKutta4.evaluations * steps
        self.evaluations = Evaluations(spent, spent)

    @override
    def networks(self) -> list[nn.Module]:
        return [self]

    def forward(
        self,
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, " batch"],
        condition: Told,
        divergence: Divergence | None = None,
        learning: bool = False,
    ) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, "probes batch"] | None]:
        """The velocity, with its divergence where one is given the means to find it.

        Both in one, since a compiled network has no second derivatives from outside.
        """

        def velocity(x: Tensor) -> Tensor:
            return self.velocity(x, t, condition)

        return (
            (velocity(x), None) if divergence is None else divergence.rates(velocity, x, learning)
        )

    def divergence(self, x: Float[Tensor, "batch ..."], noise: Noise) -> Divergence:
        """How the divergence is found during one solve."""
        return exact_trace

    @override
    def encode(
        self, x: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, " batch"]]:
        times = [i / self.steps for i in range(self.steps + 1)]
        divergence = self.divergence(x, noise)

        def rates(at: Tensor, t: float, learning: bool) -> tuple[Tensor, Tensor]:
            value, found = self(at, at.new_full((len(at),), t), condition, divergence, learning)
            return value, found

        with torch.autocast(x.device.type, enabled=False):
            flowed = carried(rates, x, times, divergence.probes)
        return flowed.end, flowed.mean()

    @override
    def decode(
        self, code: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> Float[Tensor, "batch ..."]:
        stepper = RungeKutta4()

        def drift(x: Tensor, t: float) -> Tensor:
            return self(x, x.new_full((len(x),), t), condition)[0]

        with torch.autocast(code.device.type, enabled=False):
            for i in range(self.steps, 0, -1):
                code = stepper.step(drift, code, i / self.steps, (i - 1) / self.steps)
        return code


class EstimatedContinuous(Continuous):
    """The same flow, with an unbiased estimate of the divergence by one probe a solve."""

    stochastic: ClassVar[bool] = True

    @override
    def divergence(self, x: Float[Tensor, "batch ..."], noise: Noise) -> Divergence:
        return hutchinson(noise, 1, tuple(x.shape[1:]))
