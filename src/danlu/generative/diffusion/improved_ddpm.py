r"""Improved DDPM: a chain that learns its variances along with the noise.

Beside $\varepsilon_\theta$ the network gives for each number a share $u_\theta \in (0, 1)$, and a
reverse step has the variance $\exp(u\log\beta_t + (1-u)\log\tilde\beta_t)$ between the two fixed
ones of DDPM. The loss is hybrid,

$L = E\|\varepsilon - \varepsilon_\theta\|^2 + \lambda\,L_{vlb}$, $\lambda = 0.001$,

with the variational bound $L_{vlb}$ in nats for each number, of one drawn step times their number.
No gradient of the bound reaches the mean, so that it trains the variance alone. The table of shares
is the cosine one. With learned variances the ancestral chain loses little when most of its steps
are left out, and the bound is tighter.

Use it where the chain's bound or stochastic sampling in some dozen steps is wanted.

Sources: arXiv:2102.09672 eq. 15-17 and §3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import DanluError, DataDescription, Told
from danlu.contracts.noise import Noise
from danlu.generative.diffusion.bound import ReverseChain, RowDenoiser
from danlu.generative.diffusion.building import builder
from danlu.generative.diffusion.discrete import Discrete
from danlu.generative.diffusion.learned_variance import LearnedChain, Noted
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.parts import Parts
from danlu.generative.diffusion.paths import Point
from danlu.generative.diffusion.predictions import solve_data
from danlu.generative.diffusion.recipes import usual
from danlu.generative.diffusion.solvers.ancestral import VARIANCES, Ancestral
from danlu.generative.diffusion.solvers.solver import Solver, run
from danlu.layers.rows import per_row

PARTS = Parts(path="discrete-cosine", prediction="noise", weighting="simple", times="steps")
BOUND_WEIGHT = 1e-3
LEARNED = "learned"

Batched = Float[Tensor, "batch ..."]
Rows = Float[Tensor, " batch"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImprovedDDPMOptions(DiffusionOptions):
    """Options of sampling and likelihood, with the defaults of the source; variance: `learned`."""

    variances: ClassVar[Sequence[str]] = (*VARIANCES, LEARNED)

    solver: str = "ancestral"
    evaluations: int = 1000
    likelihood: str = "bound"
    variance: str = LEARNED


class ImprovedDDPM(DiffusionModel):
    """Noise and variance prediction over a discrete table of steps."""

    Options: ClassVar[type] = ImprovedDDPMOptions
    continuous: ClassVar[bool] = False

    def __init__(
        self, description: DataDescription, network: nn.Module, parts: Parts = PARTS
    ) -> None:
        super().__init__(description, network, parts)
        if not isinstance(self.path, Discrete):
            raise DanluError(f"Learned variances need a path with a table, not {parts.path!r}.")
        self.steps = self.path.steps
        self.chain = LearnedChain(self.path.log_levels.exp().tolist())

    # --- training -----------------------------------------------------------------------------

    @override
    def errors(self, x: Batched, noise: Batched, t: Rows, condition: Told) -> dict[str, Tensor]:
        point = self.path.points(t).like(x)
        state = point.alpha * x + point.sigma * noise
        value, shares = self.halves(state, t, condition)
        simple = self.weighted(point, value, x, noise).mean()
        data = solve_data(self.prediction, point, state, value.to(x.dtype)).detach()
        index = (t * self.steps).round().long() - 2
        terms = self.chain.divergence(index.clamp(min=0), x, data, shares.to(x.dtype))
        # The last step, to the data, has a variance of its own, which is not learned.
        learned = per_row((index >= 0).to(x.dtype), x)
        bound = self.steps * (learned * terms).mean()
        return {self.parts.prediction: simple, "bound": BOUND_WEIGHT * bound}

    # --- the network --------------------------------------------------------------------------

    def halves(
        self, x: Batched, t: Rows, condition: Told, point: Point[Tensor] | None = None
    ) -> tuple[Batched, Batched]:
        """What the network predicts, and its shares of the variance."""
        value, raw = super().value(x, t, condition, point).chunk(2, dim=1)
        return value, raw.sigmoid()

    @override
    def value(
        self, x: Batched, t: Rows, condition: Told, point: Point[Tensor] | None = None
    ) -> Batched:
        return self.halves(x, t, condition, point)[0]

    def both(self, y: Batched, t: Rows, condition: Told) -> tuple[Batched, Batched]:
        """The expected data and the shares of the variance."""
        point = self.path.points(t).like(y)
        x = point.alpha * y
        value, shares = self.halves(x, t, condition)
        return solve_data(self.prediction, point, x, value), shares.to(y.dtype)

    # --- use ----------------------------------------------------------------------------------

    @override
    def plan(
        self, options: DiffusionOptions, highest: float | None = None
    ) -> tuple[Solver, list[float]]:
        fixed = replace(options, variance=VARIANCES[0]) if options.variance == LEARNED else options
        return super().plan(fixed, highest)

    @override
    def draw(self, noise: Noise, n: int, condition: Told, options: DiffusionOptions) -> Tensor:
        solver, grid = self.plan(options)
        if not (isinstance(solver, Ancestral) and options.variance == LEARNED):
            return super().draw(noise, n, condition, options)

        def both(y: Tensor, level: float) -> tuple[Tensor, Tensor]:
            return self.both(y, y.new_full((len(y),), self.path.time(level)), condition)

        noted = Noted(both)
        denoise = self.guided(condition, options, noted)
        chain = Ancestral(shares=lambda y, level: noted.shares)
        y = grid[0] * noise.normal(*self.description.shape)
        return self.discrete(run(chain, denoise, y, grid, noise))

    @override
    def reverse_chain(
        self, levels: Sequence[float], condition: Told, options: DiffusionOptions
    ) -> tuple[ReverseChain, RowDenoiser]:
        if options.variance != LEARNED:
            return super().reverse_chain(levels, condition, options)

        def both(y: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
            return self.both(y, self.path.times(level), condition)

        return LearnedChain(levels), Noted(both)


build = builder(ImprovedDDPM, PARTS, values=2)


RECIPES = usual(
    model={"parts": "prediction=v"},  # as for ddpm; the cosine table ends in nearly pure noise
    options={"evaluations": 50, "guidance": 2.0},
)
