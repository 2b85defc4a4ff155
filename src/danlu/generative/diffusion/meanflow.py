r"""MeanFlow: learn the average velocity over any span of time, so that one step reaches the data.

On the linear path $z_t = (1-t) x_0 + t\varepsilon$ with velocity $v$, the average velocity
$u(z_t, s, t) = \frac{1}{t-s}\int_s^t v(z_\tau, \tau)\,d\tau$ gives the flow map
$f(z, t, s) = z - (t-s)\,u(z, s, t)$. Differentiating $(t-s)\,u$ by $t$ gives the identity

$u = v - (t-s)\,\frac{du}{dt}$, with $\frac{du}{dt} = v\,\partial_z u + \partial_t u$,

which is the regression target: $v = \varepsilon - x_0$ in it, the total derivative by a
forward-mode Jacobian product, and no gradient through the target. Most rows have $s = t$, where the
target is the velocity and no derivative is needed; $u(z, t, t)$ is the velocity of a rectified
flow, with its solvers, codes and likelihoods. An error of size $\|\Delta\|^2$ counts
$\|\Delta\|^2 / (\|\Delta\|^2 + c)^p$ with a fixed denominator. With a guidance $\omega$, the
velocity in the target is $\omega v + (1-\omega)\,u(z, t, t)$ without the class: what is learned is
the guided flow, which still costs one evaluation a jump.

Use it for samples in one, two or four evaluations.

Sources: arXiv:2505.13447 eq. 4, 6, 10, 18, 21 and 22; kexue.fm/archives/10958.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import (
    Batch,
    DanluError,
    DataDescription,
    Export,
    Losses,
    Progress,
    Told,
    unknown,
)
from danlu.contracts.noise import BatchNoise, Noise
from danlu.estimators.jacobian import jacobian_product
from danlu.generative.diffusion import GRIDS, JUMPS
from danlu.generative.diffusion.exporting import flow_map_export
from danlu.generative.diffusion.jumps import FlowMap, leap
from danlu.generative.diffusion.model import LABEL_DROP, DiffusionModel
from danlu.generative.diffusion.networks import SpanNetwork, proportioned
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.recipes import usual
from danlu.generative.tiny import TINY
from danlu.layers.rows import per_row

TIME_MEAN, TIME_STD = -0.4, 1.0
"""Of the logit of training times."""
OFFSET = 1e-3
"""c, on the mean squared error of a number."""
BY_SOLVER = "none"

Rows = Float[Tensor, " batch"]
Batched = Float[Tensor, "batch ..."]


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanFlowOptions(DiffusionOptions):
    """Options of sampling and likelihood.

    Attributes:
        jumps: a name of JUMPS, or `none` for the velocity with `solver`.
    """

    jumps: str = "straight"
    evaluations: int = 2

    def __post_init__(self) -> None:
        DiffusionOptions.__post_init__(self)
        if self.jumps not in (*JUMPS, BY_SOLVER):
            raise unknown("jumps", self.jumps, (*JUMPS, BY_SOLVER))
        if self.jumps != BY_SOLVER and self.guidance != 1.0:
            raise DanluError(
                "The guidance of jumps is learned: train with --set model.guidance=SCALE, or "
                "sample with jumps=none."
            )


class MeanFlow(DiffusionModel):
    """The average velocity between two times of the linear path.

    Args:
        description: of the data.
        network: takes the span of time beside what other diffusion networks take.
        same: share of the rows whose two times are one.
        power: p of the weight of an error.
        guidance: that is learned.
    """

    Options: ClassVar[type] = MeanFlowOptions

    def __init__(
        self,
        description: DataDescription,
        network: torch.nn.Module,
        *,
        same: float = 0.75,
        power: float = 1.0,
        guidance: float = 1.0,
    ) -> None:
        super().__init__(description, network)
        if not 0.0 <= same <= 1.0:
            raise DanluError(f"same is a share from 0 to 1, got {same}.")
        if guidance != 1.0 and not description.condition:
            raise DanluError(f"guidance={guidance} needs classes, and the data has none.")
        self.same = same
        self.power = power
        self.guidance = guidance

    # --- training -----------------------------------------------------------------------------

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        draws = BatchNoise(len(batch), device=batch.x.device, dtype=batch.x.dtype)
        x, _ = self.spread(batch.x, draws)
        t, span = self.times_and_spans(draws)
        noise = draws.normal(*x.shape[1:])
        condition = self.network.classes.drop(batch.condition, LABEL_DROP)
        z = per_row(1 - t, x) * x + per_row(t, x) * noise
        velocity = self.guided_velocity(z, t, noise - x, condition)
        value, target = self.value_and_target(z, t, span, velocity, condition)
        error = (value - target).square().flatten(1).mean(1)
        weight = (error.detach() + OFFSET) ** -self.power
        return Losses.of(average_velocity=(weight * error).mean())

    def times_and_spans(self, draws: BatchNoise) -> tuple[Rows, Rows]:
        """The later time of each row, and how much earlier the other one is."""
        drawn = [draws.stratified().clamp(1e-6, 1 - 1e-6) for _ in range(3)]
        first, second = (
            (TIME_MEAN + TIME_STD * torch.special.ndtri(u)).sigmoid() for u in drawn[:2]
        )
        t = torch.maximum(first, second)
        return t, torch.where(drawn[2] < self.same, 0.0, t - torch.minimum(first, second))

    @torch.no_grad()
    def guided_velocity(self, z: Batched, t: Rows, velocity: Batched, condition: Told) -> Batched:
        """The velocity of each row with the guidance, where it has a condition."""
        if self.guidance == 1.0 or condition is None:
            return velocity
        base = self.value(z, t, None).to(velocity.dtype)
        guided = base + self.guidance * (velocity - base)
        return torch.where(per_row(condition.present, z), guided, velocity)

    def value_and_target(
        self, z: Batched, t: Rows, span: Rows, velocity: Batched, condition: Told
    ) -> tuple[Batched, Batched]:
        """What the network says and what it should say, in full precision.

        Rows with a span, which alone need the derivative, come first.
        """
        apart = span > 0
        first = int(apart.sum())
        order = torch.cat([apart.nonzero()[:, 0], (~apart).nonzero()[:, 0]])
        z, t, span, velocity = (each[order] for each in (z, t, span, velocity))
        condition = None if condition is None else condition[order]
        heads, tails = (
            (z[rows], t[rows], span[rows], None if condition is None else condition[rows])
            for rows in (slice(None, first), slice(first, None))
        )
        values, slope = [], torch.zeros_like(velocity)
        if len(heads[0]):
            value, slope[:first] = self.total_derivative(velocity[:first], *heads)
            values.append(value)
        if len(tails[0]):
            values.append(self.average(*tails))
        wide = torch.promote_types(z.dtype, torch.float32)
        return torch.cat(values).to(wide), (velocity - per_row(span, z) * slope).to(wide)

    def total_derivative(
        self, velocity: Batched, z: Batched, t: Rows, span: Rows, condition: Told
    ) -> tuple[Batched, Batched]:
        """The average velocity and its derivative, along the velocity with the earlier time fixed.

        The derivative carries no gradient.
        """
        one = torch.ones_like(t)
        # A tangent is not cast along with its value, and low precision would drown it.
        with torch.autocast(z.device.type, enabled=False):
            value, slope = jacobian_product(
                lambda z, t, span: self.average(z, t, span, condition),
                (z, t, span),
                (velocity.to(z.dtype), one, one),
            )
        return value, slope.detach()

    def average(self, z: Batched, t: Rows, span: Rows, condition: Told) -> Batched:
        """The average velocity from `t - span` to t along the trajectory that is at z at t."""
        return self.network(z, t, condition, span)

    # --- use ----------------------------------------------------------------------------------

    def flow_map(self, condition: Told) -> FlowMap:
        """The model as a map between two times."""

        def flow_map(x: Batched, t: float, s: float) -> Batched:
            rows = x.new_full((len(x),), t)
            return x - (t - s) * self.average(x, rows, rows - s, condition)

        return flow_map

    @override
    def draw(self, noise: Noise, n: int, condition: Told, options: MeanFlowOptions) -> Tensor:
        if options.jumps == BY_SOLVER:
            return super().draw(noise, n, condition, options)
        jump, flow_map = JUMPS[options.jumps].build(), self.flow_map(condition)
        shape = self.description.shape
        return self.discrete(leap(jump, flow_map, noise, shape, self.path, self.visited(options)))

    def visited(self, options: MeanFlowOptions) -> list[float]:
        """The times of jumps, falling, from pure noise to the data."""
        levels = GRIDS[options.grid].target(self.path, options.evaluations, *self.path.levels())
        return [1.0, *(self.path.time(level) for level in levels[1:-1]), 0.0]

    @override
    def sampling_evaluations(self, options: MeanFlowOptions) -> int:
        if options.jumps == BY_SOLVER:
            return super().sampling_evaluations(options)
        return options.evaluations

    @override
    def exports(self, options: MeanFlowOptions) -> dict[str, Export]:
        if options.jumps == BY_SOLVER:
            return super().exports(options)

        def mapped(x: Tensor, t: Tensor, s: Tensor, condition: Told) -> Tensor:
            return x - per_row(t - s, x) * self.average(x, t, t - s, condition)

        times = self.visited(options)
        return {"flow-map": flow_map_export(self, mapped, self.path, times, options.jumps)}


def build(
    description: DataDescription = TINY,
    *,
    width: int = 16,
    levels: int = 1,
    blocks: int = 1,
    patch: int = 1,
    network: str = "unet",
    guidance: float = 1.0,
) -> MeanFlow:
    """A MeanFlow for the described data; the defaults are tiny."""
    size = proportioned(
        description, width=width, levels=levels, blocks=blocks, patch=patch, network=network
    )
    return MeanFlow(description, SpanNetwork(description, size), guidance=guidance)


RECIPES = usual()
