r"""Rectified flow: learn the velocity of straight lines from data to noise.

With $x_t = (1-t) x_0 + t\varepsilon$, a network learns the velocity
$v(x, t) = E[\varepsilon - x_0 \mid x_t = x]$ by least squares; $\dot x = v$ carries noise to data.
As a denoiser, $D(y, \hat\sigma) = x - t\,v(x, t)$ at $t = \hat\sigma/(1+\hat\sigma)$ and
$x = (1-t) y$, so any sampler, grid and guidance applies. Discrete data is dequantised, and
samples are rounded to its levels. The likelihood is the probability flow's.

Use it when you want the best samples for a budget and can pay several evaluations a sample.

Sources: arXiv:2209.03003 eq. 1, arXiv:2210.02747; kexue.fm/archives/9280, 9379, 9497.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import (
    Batch,
    Bound,
    DanluError,
    DataDescription,
    Evidence,
    Losses,
    Measure,
    Progress,
    unknown,
)
from danlu.generative.base import Code, Condition, GenerativeModel
from danlu.generative.diffusion import GRIDS, SOLVERS, TIME_SAMPLERS, likelihood
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.grids import clipped
from danlu.generative.diffusion.guidance import classifier_free, within
from danlu.generative.diffusion.networks import ConditionedNetwork, NetworkOptions
from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.samplers import Sampler, run
from danlu.generative.diffusion.time_samplers import stratified
from danlu.generative.parts.dequantise import Dequantise
from danlu.generative.tiny import TINY
from danlu.solvers.noise import BatchNoise, ItemNoise, Noise

EARLIEST, LATEST = 1e-3, 1 - 1e-3
"""Training times; samplers and likelihoods stay within."""

LABEL_DROP = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class RectifiedFlowOptions:
    """Options of sampling and likelihood.

    Attributes:
        solver: a name of SOLVERS.
        grid: a name of GRIDS.
        evaluations: denoiser evaluations for one sample; guidance doubles the network's.
        guidance: classifier-free scale; 1 is the plain conditional model.
        guided_from: guidance acts between the times `guided_from` and `guided_until`;
        guided_until: 0 is data and 1 is noise.
        eta: noise of DDIM, from 0 (deterministic) to 1 (ancestral); ignored by the others.
        trace: `exact` or `hutchinson` divergence of the likelihood.
        probes: Hutchinson probes for each example, at least 2.
        draws: of the dequantisation noise behind a likelihood of discrete data, at least 2.
        likelihood_steps: fourth-order steps of the likelihood's ODE.
    """

    solver: str = "heun"
    grid: str = "uniform"
    evaluations: int = 15
    guidance: float = 1.0
    guided_from: float = 0.0
    guided_until: float = 1.0
    eta: float = 0.0
    trace: str = "hutchinson"
    probes: int = 2
    draws: int = 2
    likelihood_steps: int = 16

    def __post_init__(self) -> None:
        if self.solver not in SOLVERS:
            raise unknown("solver", self.solver, SOLVERS)
        if self.grid not in GRIDS:
            raise unknown("grid", self.grid, GRIDS)
        if self.trace not in ("exact", "hutchinson"):
            raise unknown("trace", self.trace, ("exact", "hutchinson"))
        if self.evaluations < 1 or self.likelihood_steps < 1:
            raise DanluError("evaluations and likelihood_steps must be at least 1.")
        if self.draws < 2:
            raise DanluError(f"draws must be at least 2 to have an error, got {self.draws}.")
        if not 0.0 <= self.guided_from <= self.guided_until <= 1.0:
            raise DanluError(
                f"Guidance acts from a time to a later one in [0, 1], got {self.guided_from} "
                f"to {self.guided_until}."
            )


class RectifiedFlow(GenerativeModel):
    """Straight-path flow matching with a U-Net (images) or an MLP (vectors)."""

    can = frozenset({"sample", "log_prob", "encode", "decode", "reconstruct", "condition"})
    Options: ClassVar[type] = RectifiedFlowOptions

    def __init__(
        self, description: DataDescription, network: nn.Module, *, times: str = "logit-normal"
    ) -> None:
        super().__init__(description)
        if times not in TIME_SAMPLERS:
            raise unknown("time sampler", times, TIME_SAMPLERS)
        self.network: Any = network  # beside forward it has `at` and `classes`
        self.times = times
        self.dequantise = Dequantise(description) if description.levels else None
        self.path = Linear()

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"model": [self.network]}

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        draws = BatchNoise(len(batch), device=batch.x.device, dtype=batch.x.dtype)
        x, _ = self._continuous(batch.x, draws)
        quantile = TIME_SAMPLERS[self.times].target
        t = stratified(draws, quantile).clamp(EARLIEST, LATEST)
        alpha, sigma = (c.view(-1, *[1] * (x.dim() - 1)) for c in self.path.coefficients(t))
        noise = draws.normal(*x.shape[1:])
        condition = self.network.classes.drop(batch.condition, LABEL_DROP)
        velocity = self.network(alpha * x + sigma * noise, t, condition)
        # Low precision would lose the small differences.
        velocity = velocity.to(torch.promote_types(velocity.dtype, torch.float32))
        return Losses.of(velocity=(velocity - (noise - x)).square().mean())

    def denoiser(self, condition: Int[Tensor, " batch"] | None) -> Denoiser:
        """The model as E[x0 | y] under a condition (None: unconditional)."""

        def denoise(y: Float[Tensor, "batch ..."], level: float) -> Float[Tensor, "batch ..."]:
            t = self.path.time(level)
            x = (1 - t) * y
            return x - t * self.network.at(x, t, condition)

        return denoise

    @override
    def draw(
        self,
        noise: Noise,
        n: int,
        condition: Int[Tensor, " n"] | None,
        options: RectifiedFlowOptions,
    ) -> Tensor:
        sampler, grid = self._plan(options)
        denoise = self.denoiser(condition)
        if condition is not None:
            denoise = self._guided(denoise, self.denoiser(None), options)
        y = grid[0] * noise.normal(*self.description.shape)
        x = run(sampler, denoise, y, grid, noise)
        return self._discrete(x, condition, noise)

    @override
    def sampling_evaluations(self, options: RectifiedFlowOptions) -> int:
        sampler, grid = self._plan(options)
        calls = []

        def count(y: Float[Tensor, "batch ..."], level: float) -> Float[Tensor, "batch ..."]:
            calls.append(level)
            return y

        denoise = self._guided(count, count, options) if self.description.classes else count
        run(sampler, denoise, torch.empty(0, 1), grid, BatchNoise(0))
        return len(calls)

    @override
    def evidence(
        self,
        x: Tensor,
        noise: Noise,
        condition: Int[Tensor, " batch"] | None,
        options: RectifiedFlowOptions,
    ) -> Evidence:
        # Every draw has its own dequantisation noise and probes: their spread holds both errors.
        draws = options.draws if self.dequantise else 1
        passes = [self._one_pass(x, noise, condition, options) for _ in range(draws)]
        values = torch.stack([value for value, _ in passes])
        flowed = passes[0][1]
        return Evidence(
            value=values.mean(0),
            bound=Bound.NONE,
            stderr=values.std(0) / math.sqrt(draws) if draws > 1 else flowed.stderr(),
            evaluations=draws * flowed.evaluations,
            measure=Measure.COUNTING if self.dequantise else Measure.LEBESGUE,
            condition="none" if condition is None else "class",
            dims=self.description.dims,
        )

    def _one_pass(
        self,
        x: Tensor,
        noise: Noise,
        condition: Int[Tensor, " batch"] | None,
        options: RectifiedFlowOptions,
    ) -> tuple[Float[Tensor, " batch"], likelihood.Flowed]:
        x, rounding = self._continuous(x, noise)
        if options.trace == "exact":
            divergence = likelihood.exact_trace
        else:
            divergence = likelihood.hutchinson(noise, options.probes, self.description.shape)
        times = likelihood.dense_at_ends(options.likelihood_steps, EARLIEST, LATEST)
        flowed = likelihood.flow(self._velocity(condition), x, times, divergence)
        prior = likelihood.gaussian_log_density(flowed.end, LATEST)
        return (rounding + flowed.mean() + prior).detach(), flowed

    @override
    def prior_mismatch(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"]:
        r"""Bound on what the Gaussian end law costs, nats: KL of $x_T | x_0$ from $N(0, T^2)$."""
        return (1 - LATEST) ** 2 * x.flatten(1).square().sum(1) / (2 * LATEST**2)

    @override
    @torch.no_grad()
    def encode(self, x: Tensor, *, condition: Condition = None, seed: int = 0) -> Code:
        ids = self.check_condition(condition, len(x))
        x, _ = self._continuous(x, ItemNoise(seed, range(len(x)), device=x.device, dtype=x.dtype))
        return self._carry(x, ids, EARLIEST, LATEST)

    @override
    @torch.no_grad()
    def decode(self, code: Code, *, condition: Condition = None, seed: int = 0) -> Tensor:
        assert isinstance(code, Tensor)
        ids = self.check_condition(condition, len(code))
        x = self._carry(code, ids, LATEST, EARLIEST)
        noise = ItemNoise(seed + 1, range(len(code)), device=code.device, dtype=code.dtype)
        return self._discrete(x, ids, noise)

    def _guided(
        self, conditional: Denoiser, unconditional: Denoiser, options: RectifiedFlowOptions
    ) -> Denoiser:
        guided = classifier_free(conditional, unconditional, options.guidance)
        levels = (self.path.at(t).level for t in (options.guided_from, options.guided_until))
        return within(guided, conditional, *levels)

    def _plan(self, options: RectifiedFlowOptions) -> tuple[Sampler, list[float]]:
        method = SOLVERS[options.solver]
        sampler = method.target(options.eta) if options.solver == "ddim" else method.target()
        lowest, highest = (self.path.at(t).level for t in (EARLIEST, LATEST))
        grid = GRIDS[options.grid].target(sampler.steps(options.evaluations), lowest, highest)
        return sampler, clipped(grid, lowest, highest)

    def _velocity(self, condition: Int[Tensor, " batch"] | None):  # noqa: ANN202
        return lambda x, t: self.network.at(x, t, condition)

    def _carry(
        self, x: Tensor, condition: Int[Tensor, " batch"] | None, first: float, last: float
    ) -> Tensor:
        steps = RectifiedFlowOptions().likelihood_steps
        times = likelihood.dense_at_ends(steps, first, last)
        stepper = likelihood.RungeKutta4()
        for t, t_next in pairwise(times):
            x = stepper.step(self._velocity(condition), x, t, t_next)
        return x

    def _continuous(self, x: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        if self.dequantise is None:
            return x, x.new_zeros(len(x))
        return self.dequantise.encode(x, None, noise)

    def _discrete(self, x: Tensor, condition: Int[Tensor, " batch"] | None, noise: Noise) -> Tensor:
        return x if self.dequantise is None else self.dequantise.decode(x, condition, noise)


def build(
    description: DataDescription = TINY,
    *,
    width: int = 16,
    levels: int = 1,
    blocks: int = 1,
    patch: int = 1,
    features: int = 32,
    times: str = "logit-normal",
) -> RectifiedFlow:
    """A rectified flow for the described data; the defaults are tiny."""
    size = NetworkOptions(width=width, levels=levels, blocks=blocks, patch=patch, features=features)
    return RectifiedFlow(description, ConditionedNetwork(description, size), times=times)
