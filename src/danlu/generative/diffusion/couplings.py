r"""Couplings: which noise a batch's examples are mixed with in training.

Straight lines between examples and noise that was drawn for them cross, and the flow must bend
where they do. A coupling pairs the same noise anew within the batch, so that the lines cross less:

- independent: as drawn. Only here is $(y - D)/\hat\sigma^2$ a score, so only here do solvers with
  fresh noise and the variational bound apply; any other coupling keeps the flow alone.
- optimal: the permutation $\pi$ of least $\sum_i \|x_i - z_{\pi(i)}\|^2$, exact optimal transport
  of the batch. Every draw is used once; the bias of small batches is the price.
- sinkhorn: the plan $P$ of least $\langle P, C\rangle - \epsilon H(P)$ with even margins, C the
  squared distances; each example draws its noise from its row of P. $\epsilon$ is 0.05 of the mean
  of C.
- schrodinger: the plan with $\epsilon = 2 s^2$ and a Brownian bridge between the pair,
  $x_t = (1 - t) x_0 + t z + s\sqrt{t(1 - t)}\,\varepsilon$ with s = 0.5, whose velocity is
  $z - x_0 + s\,\frac{1 - 2t}{2\sqrt{t(1 - t)}}\,\varepsilon$: the Schrödinger bridge of the batch.
  On other paths the same is added to state and velocity.
- class-optimal: optimal, but within the examples of each class, so that the noise of a class stays
  normal; without it a conditional model is sampled from noise that its class never saw, which
  moves the means of the classes. A model with classes says so when it is trained.

A batch that comes in parts is paired part by part.

Sources: arXiv:2302.00482 §3 (optimal, Schrödinger bridge), arXiv:2304.14772 (optimal),
arXiv:1306.0895 (Sinkhorn), arXiv:2503.10636 (condition-aware cost).
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError, Told
from danlu.contracts.noise import BatchNoise
from danlu.generative.diffusion.paths import Path
from danlu.generative.diffusion.predictions import solve, velocity
from danlu.layers.rows import per_row

Rows = Float[Tensor, "batch ..."]

SHARPNESS = 0.05
"""Of the entropic plan, as a share of the mean cost."""
SWEEPS, MARGIN_ERROR = 1000, 1e-9
BRIDGE, SHORTEST = 0.5, 1e-4
"""Deviation of a bridge, and its least t (1 - t), where its velocity would be infinite."""


class Coupling(ABC):
    """Pairs a batch's examples with its noise.

    Attributes:
        independent: whether data and noise stay independent, so that a denoiser gives a score.
        by_class: whether the noise of each class stays normal.
        bridge: deviation of the Brownian bridge between a pair, 0 for a line.
    """

    independent: ClassVar[bool] = False
    by_class: ClassVar[bool] = False
    bridge: ClassVar[float] = 0.0

    @abstractmethod
    def pair(self, x: Rows, z: Rows, condition: Told, noise: BatchNoise) -> Rows:
        """The noise of each example, out of the rows of z."""

    def bend(
        self, x: Rows, z: Rows, t: Float[Tensor, " batch"], path: Path, noise: BatchNoise
    ) -> tuple[Rows, Rows]:
        """The data and noise that a straight pair would need for state and velocity of a bridge."""
        if self.bridge == 0.0:
            return x, z
        point = path.points(t).like(x)
        spread, rate = bridge_weights(per_row(t, x), self.bridge)
        epsilon = noise.normal(*x.shape[1:])
        state = point.alpha * x + point.sigma * z + spread * epsilon
        moving = point.alpha_rate * x + point.sigma_rate * z + rate * epsilon
        return solve(velocity, point, state, moving)


class Independent(Coupling):
    """Noise as it was drawn."""

    independent: ClassVar[bool] = True
    by_class: ClassVar[bool] = True

    @override
    def pair(self, x: Rows, z: Rows, condition: Told, noise: BatchNoise) -> Rows:
        return z


class Optimal(Coupling):
    """The permutation of least squared distance."""

    @override
    def pair(self, x: Rows, z: Rows, condition: Told, noise: BatchNoise) -> Rows:
        return z[permutation(squared_distances(x, z)).to(z.device)]


class ClassOptimal(Coupling):
    """The permutation of least squared distance that keeps the noise of each class."""

    by_class: ClassVar[bool] = True

    @override
    def pair(self, x: Rows, z: Rows, condition: Told, noise: BatchNoise) -> Rows:
        if condition is None:
            return z[permutation(squared_distances(x, z)).to(z.device)]
        if condition.ids is None:
            raise DanluError("'class-optimal' pairs noise within classes: take 'independent'.")
        paired = z.clone()
        for one in condition.ids.unique():
            rows = (condition.ids == one).nonzero()[:, 0]
            chosen = permutation(squared_distances(x[rows], z[rows])).to(rows.device)
            paired[rows] = z[rows[chosen]]
        return paired


class Sinkhorn(Coupling):
    """Noise drawn from the rows of the entropic plan."""

    @override
    def pair(self, x: Rows, z: Rows, condition: Told, noise: BatchNoise) -> Rows:
        cost = squared_distances(x, z)
        return z[drawn(plan(cost, self.regularisation(cost)), noise).to(z.device)]

    def regularisation(self, cost: Float[Tensor, "batch batch"]) -> float:
        """The weight of the plan's entropy."""
        return SHARPNESS * cost.mean().item()


class Schrodinger(Sinkhorn):
    """The entropic plan whose Brownian bridges make the Schrödinger bridge."""

    bridge: ClassVar[float] = BRIDGE

    @override
    def regularisation(self, cost: Float[Tensor, "batch batch"]) -> float:
        return 2 * self.bridge**2


def squared_distances(x: Rows, z: Rows) -> Float[Tensor, "batch batch"]:
    """Between all examples and all draws, float64 on the CPU."""
    x, z = (each.detach().flatten(1).double().cpu() for each in (x, z))
    return (x.square().sum(1)[:, None] + z.square().sum(1) - 2 * x @ z.T).clamp(min=0)


def permutation(cost: Float[Tensor, "batch batch"]) -> Int[Tensor, " batch"]:
    """The column of each row at the least sum of costs."""
    return torch.as_tensor(linear_sum_assignment(cost.numpy())[1])


def plan(cost: Float[Tensor, "batch batch"], regularisation: float) -> Float[Tensor, "batch batch"]:
    """The entropic plan: even columns, and rows to 1e-9 or what a thousand sweeps reach."""
    scaled = -cost / regularisation
    n = len(cost)
    rows, columns = cost.new_zeros(n, 1), cost.new_zeros(1, n)
    for _ in range(SWEEPS):
        rows = -(scaled + columns).logsumexp(1, keepdim=True)
        masses = (scaled + rows + columns).logsumexp(0, keepdim=True)
        columns = columns - masses
        if masses.abs().max() < MARGIN_ERROR:
            break
    return (scaled + rows + columns).exp() / n


def drawn(weights: Float[Tensor, "batch batch"], noise: BatchNoise) -> Int[Tensor, " batch"]:
    """A column for each row, with the probabilities of the row."""
    edges = weights.cumsum(1)
    u = noise.uniform(1).double().cpu() * edges[:, -1:]
    return torch.searchsorted(edges, u)[:, 0].clamp(max=len(weights) - 1)


def bridge_weights(
    t: Float[Tensor, "batch ..."], std: float
) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, "batch ..."]]:
    """What a bridge adds to the state and to the velocity, for each unit of its noise."""
    spread = (t * (1 - t)).clamp(min=SHORTEST).sqrt()
    return std * spread, std * (1 - 2 * t) / (2 * spread)
