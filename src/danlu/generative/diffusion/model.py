r"""What every diffusion model shares: one network, trained by parts, used as a denoiser.

Training draws a time, mixes data and noise along the *path*, and asks the network for the
*prediction*, weighted by the *weighting* at times of the *time sampler*:

$w(t)\,\|a x_0 + b\varepsilon - f_\theta(c_t x_t, l_t)\|^2$.

In use the network is the denoiser $D(y, \hat\sigma)$ whatever it was trained on, so that sampling,
guidance, the flow's likelihood, the variational bound and encoding are the same for all. The ODE
of likelihood and encoding is taken on the linear path, whose lines bend least.

Sources: arXiv:2206.00364 tab. 1 (the parts), arXiv:2011.13456 (flow and likelihood).
"""

import math
from itertools import pairwise
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import (
    Batch,
    Bound,
    DataDescription,
    Evidence,
    Export,
    Losses,
    Measure,
    Progress,
)
from danlu.generative.base import Code, Condition, GenerativeModel
from danlu.generative.diffusion import (
    GRIDS,
    PATHS,
    PRECONDITIONERS,
    PREDICTIONS,
    TIME_SAMPLERS,
    WEIGHTINGS,
    likelihood,
)
from danlu.generative.diffusion.bound import Chain
from danlu.generative.diffusion.denoiser import Denoiser, probability_flow
from danlu.generative.diffusion.exporting import denoiser_export, guided_levels
from danlu.generative.diffusion.grids import clipped
from danlu.generative.diffusion.guidance import classifier_free, within
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.parts import STRAIGHT, Parts
from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.predictions import combine, gain, solve, velocity
from danlu.generative.diffusion.solvers.solver import Solver, run
from danlu.generative.diffusion.time_samplers import stratified
from danlu.generative.parts.dequantise import Dequantise
from danlu.losses.likelihoods import round_to_levels
from danlu.solvers.noise import BatchNoise, ItemNoise, Noise
from danlu.solvers.steppers import Drift

LABEL_DROP = 0.1
LINES = Linear()
"""The path of likelihoods and encodings, whatever the path of training."""

Ids = Int[Tensor, " batch"] | None


class DiffusionModel(GenerativeModel):
    """A conditioned network trained by parts and used as a denoiser.

    Attributes:
        continuous: whether discrete data is spread over its bins for training, as a model of
            densities wants it; a chain with a discrete last step takes the levels themselves.
    """

    can = frozenset({"sample", "log_prob", "encode", "decode", "reconstruct", "condition"})
    Options: ClassVar[type] = DiffusionOptions
    continuous: ClassVar[bool] = True

    def __init__(
        self, description: DataDescription, network: nn.Module, parts: Parts = STRAIGHT
    ) -> None:
        super().__init__(description)
        self.network: Any = network  # beside forward it has `classes`
        self.parts = parts
        self.path = PATHS[parts.path].build()
        self.prediction = PREDICTIONS[parts.prediction].target
        self.preconditioner = PRECONDITIONERS[parts.preconditioner].target
        self.weighting = WEIGHTINGS[parts.weighting].target
        self.times = TIME_SAMPLERS[parts.times].target
        self.dequantise = Dequantise(description) if description.levels else None

    # --- training -----------------------------------------------------------------------------

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"model": [self.network]}

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        draws = BatchNoise(len(batch), device=batch.x.device, dtype=batch.x.dtype)
        x = batch.x
        if self.continuous:
            x, _ = self._spread(x, draws)
        t = stratified(draws, self.times, self.path)
        point = self.path.points(t).like(x)
        noise = draws.normal(*x.shape[1:])
        condition = self.network.classes.drop(batch.condition, LABEL_DROP)
        value = self.value(point.alpha * x + point.sigma * noise, t, condition)
        # Low precision would lose the small differences.
        value = value.to(torch.promote_types(value.dtype, torch.float32))
        squared_gain = gain(self.prediction, point) ** 2
        weight = self.weighting(point, squared_gain) / squared_gain
        target = combine(self.prediction, point, x, noise)
        error = (weight * (value - target).square()).mean()
        return Losses.of(**{self.parts.prediction: error})

    # --- the network as a denoiser ------------------------------------------------------------

    def value(
        self, x: Float[Tensor, "batch ..."], t: Float[Tensor, " batch"], condition: Ids
    ) -> Float[Tensor, "batch ..."]:
        """What the network predicts for noisy data at a time for each row."""
        scale, label = self.preconditioner(self.path.points(t), t)
        return self.network(scale.view(-1, *[1] * (x.dim() - 1)) * x, label, condition)

    def denoised(
        self, y: Float[Tensor, "batch ..."], level: Float[Tensor, " batch"], condition: Ids
    ) -> Float[Tensor, "batch ..."]:
        """E[x0 | y] with a noise level for each row."""
        t = self.path.times(level)
        point = self.path.points(t).like(y)
        x = point.alpha * y
        return solve(self.prediction, point, x, self.value(x, t, condition))[0]

    def denoiser(self, condition: Ids) -> Denoiser:
        """The model as E[x0 | y] under a condition (None: unconditional)."""

        def denoise(y: Float[Tensor, "batch ..."], level: float) -> Float[Tensor, "batch ..."]:
            t = self.path.time(level)
            point = self.path.at(t)
            x = point.alpha * y
            value = self.value(x, x.new_full((len(x),), t), condition)
            return solve(self.prediction, point, x, value)[0]

        return denoise

    def drift(self, condition: Ids) -> Drift:
        """The velocity on the linear path."""
        if isinstance(self.path, Linear) and self.prediction is velocity:
            return lambda x, t: self.value(x, x.new_full((len(x),), t), condition)
        return probability_flow(self.denoiser(condition), LINES)

    def ends(self) -> tuple[float, float]:
        """The times on the linear path of the lowest and highest noise level of training."""
        if isinstance(self.path, Linear):
            return self.path.earliest, self.path.latest
        lowest, highest = self.path.levels()
        return LINES.time(lowest), LINES.time(highest)

    # --- sampling -----------------------------------------------------------------------------

    @override
    def draw(self, noise: Noise, n: int, condition: Ids, options: DiffusionOptions) -> Tensor:
        solver, grid = self._plan(options)
        denoise = self.denoiser(condition)
        if condition is not None:
            denoise = self._guided(denoise, self.denoiser(None), options)
        y = grid[0] * noise.normal(*self.description.shape)
        return self._discrete(run(solver, denoise, y, grid, noise))

    @override
    def sampling_evaluations(self, options: DiffusionOptions) -> int:
        solver, grid = self._plan(options)
        calls = []

        def count(y: Tensor, level: float) -> Tensor:
            calls.append(level)
            return y

        denoise = self._guided(count, count, options) if self.description.classes else count
        run(solver, denoise, torch.empty(0, 1), grid, BatchNoise(0))
        return len(calls)

    @override
    def exports(self, options: DiffusionOptions) -> dict[str, Export]:
        _, grid = self._plan(options)
        return {"denoiser": denoiser_export(self, self.denoised, self.path, grid, options)}

    def _guided(self, plain: Denoiser, free: Denoiser, options: DiffusionOptions) -> Denoiser:
        guided = classifier_free(plain, free, options.guidance)
        return within(guided, plain, *guided_levels(self.path, options))

    def _plan(self, options: DiffusionOptions) -> tuple[Solver, list[float]]:
        solver = options.made_solver()
        ends = self.path.levels()
        grid = GRIDS[options.grid].target(self.path, solver.steps(options.evaluations), *ends)
        return solver, clipped(grid, *ends)

    # --- likelihood ---------------------------------------------------------------------------

    @override
    def evidence(
        self, x: Tensor, noise: Noise, condition: Ids, options: DiffusionOptions
    ) -> Evidence:
        if options.likelihood == "bound":
            return self._bound(x, noise, condition, options)
        # Every draw has its own dequantisation noise and probes: their spread holds both errors.
        draws = options.draws if self.dequantise else 1
        passes = [self._one_pass(x, noise, condition, options) for _ in range(draws)]
        values, flowed = torch.stack([value for value, _ in passes]), passes[0][1]
        error = values.std(0) / math.sqrt(draws) if draws > 1 else flowed.stderr()
        cost = draws * flowed.evaluations
        return self._evidence(values.mean(0), Bound.NONE, error, cost, condition)

    def _bound(
        self, x: Tensor, noise: Noise, condition: Ids, options: DiffusionOptions
    ) -> Evidence:
        levels = GRIDS["linspace"].target(self.path, options.chain, *self.path.levels())
        chain = Chain(levels[-2::-1], options.variance)  # rising, without the 0

        def denoise(y: Tensor, level: Tensor) -> Tensor:
            return self.denoised(y, level, condition)

        facts = (self.description, options.terms)
        draws = [chain.bound(denoise, x, noise, *facts) for _ in range(options.draws)]
        values = torch.stack(draws).detach()
        error = values.std(0) / math.sqrt(options.draws)
        cost = options.draws * (1 + min(options.terms, options.chain - 1))
        return self._evidence(values.mean(0), Bound.LOWER, error, cost, condition)

    def _evidence(
        self, value: Tensor, bound: Bound, stderr: Tensor, evaluations: int, condition: Ids
    ) -> Evidence:
        return Evidence(
            value=value,
            bound=bound,
            stderr=stderr,
            evaluations=evaluations,
            measure=Measure.COUNTING if self.dequantise else Measure.LEBESGUE,
            condition="none" if condition is None else "class",
            dims=self.description.dims,
        )

    def _one_pass(
        self, x: Tensor, noise: Noise, condition: Ids, options: DiffusionOptions
    ) -> tuple[Float[Tensor, " batch"], likelihood.Flowed]:
        x, rounding = self._spread(x, noise)
        if options.trace == "exact":
            divergence = likelihood.exact_trace
        else:
            divergence = likelihood.hutchinson(noise, options.probes, self.description.shape)
        first, last = self.ends()
        times = likelihood.dense_at_ends(options.likelihood_steps, first, last)
        flowed = likelihood.flow(self.drift(condition), x, times, divergence)
        prior = likelihood.gaussian_log_density(flowed.end, last)
        return (rounding + flowed.mean() + prior).detach(), flowed

    @override
    def prior_mismatch(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"] | None:
        r"""Bound on what the Gaussian end law costs, nats: KL of $x_T | x_0$ from $N(0, T^2)$.

        A variational bound has it inside.
        """
        if self.Options().likelihood == "bound":
            return None
        last = self.ends()[1]
        return (1 - last) ** 2 * x.flatten(1).square().sum(1) / (2 * last**2)

    # --- codes --------------------------------------------------------------------------------

    @override
    @torch.no_grad()
    def encode(self, x: Tensor, *, condition: Condition = None, seed: int = 0) -> Code:
        ids = self.check_condition(condition, len(x))
        x, _ = self._spread(x, ItemNoise(seed, range(len(x)), device=x.device, dtype=x.dtype))
        return self._carry(x, ids, *self.ends())

    @override
    @torch.no_grad()
    def decode(self, code: Code, *, condition: Condition = None, seed: int = 0) -> Tensor:
        assert isinstance(code, Tensor)
        ids = self.check_condition(condition, len(code))
        return self._discrete(self._carry(code, ids, *reversed(self.ends())))

    def _carry(self, x: Tensor, condition: Ids, first: float, last: float) -> Tensor:
        times = likelihood.dense_at_ends(self.Options().likelihood_steps, first, last)
        stepper, drift = likelihood.RungeKutta4(), self.drift(condition)
        for t, t_next in pairwise(times):
            x = stepper.step(drift, x, t, t_next)
        return x

    def _spread(self, x: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Continuous values of the data, and what the rounding contributes to a likelihood."""
        return (
            self.dequantise.encode(x, None, noise) if self.dequantise else (x, x.new_zeros(len(x)))
        )

    def _discrete(self, x: Tensor) -> Tensor:
        return round_to_levels(x, self.description) if self.description.levels else x
