r"""What every diffusion model shares: one network, trained by parts, used as a denoiser.

Training draws a time, mixes data and noise along the *path*, and asks the network for the
*prediction*, weighted by the *weighting* at times of the *time sampler*:

$w(t)\,\|a x_0 + b\varepsilon - f_\theta(c_t x_t, l_t)\|^2$.

In use the network is the denoiser $D(y, \hat\sigma)$ whatever it was trained on, so that sampling,
guidance, likelihoods and encoding are the same for all. The ODE of likelihood and encoding is
taken on the linear path, whose lines bend least.

Sources: arXiv:2206.00364 tab. 1 (the parts), arXiv:2011.13456 (flow and likelihood).
"""

from itertools import pairwise
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import (
    Asked,
    Batch,
    DanluError,
    DataDescription,
    Evidence,
    Export,
    Losses,
    Progress,
    Told,
)
from danlu.contracts.noise import BatchNoise, ItemNoise, Noise
from danlu.generative.base import Code
from danlu.generative.diffusion import (
    GRIDS,
    PATHS,
    PRECONDITIONERS,
    PREDICTIONS,
    TIME_SAMPLERS,
    WEIGHTINGS,
    likelihood,
    preconditioners,
)
from danlu.generative.diffusion.denoiser import Denoiser, probability_flow
from danlu.generative.diffusion.exporting import denoiser_export
from danlu.generative.diffusion.grids import clipped
from danlu.generative.diffusion.guidance.chosen import chosen
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.parts import STRAIGHT, Parts
from danlu.generative.diffusion.paths import Linear, Point
from danlu.generative.diffusion.predictions import combine, gain, solve_data, velocity
from danlu.generative.diffusion.scoring import LINES, Scored
from danlu.generative.diffusion.solvers.solver import Solver, run
from danlu.generative.diffusion.time_samplers import stratified
from danlu.losses.likelihoods import round_to_levels
from danlu.solvers.steppers import Drift

LABEL_DROP = 0.1


class DiffusionModel(Scored):
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
        super().__init__(description, PATHS[parts.path].build())
        self.network: Any = network  # beside forward it has a conditioner, `classes`
        self.parts = parts
        self.prediction = PREDICTIONS[parts.prediction].target
        self.preconditioner = PRECONDITIONERS[parts.preconditioner].target
        self.weighting = WEIGHTINGS[parts.weighting].target
        self.times = TIME_SAMPLERS[parts.times].target
        self.cautions = parts.cautions(description.condition)

    # --- training -----------------------------------------------------------------------------

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"model": [self.network]}

    @override
    def couples(self, player: str) -> str:
        return self.parts.couples()

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        draws = BatchNoise(len(batch), device=batch.x.device, dtype=batch.x.dtype)
        x = batch.x
        if self.continuous:
            x, _ = self.spread(x, draws)
        t = stratified(draws, self.times, self.path)
        x, noise = self.parts.coupled(x, batch.condition, t, self.path, draws)
        condition = self.network.classes.drop(batch.condition, LABEL_DROP)
        return Losses.of(**self.errors(x, noise, t, condition))

    def errors(
        self,
        x: Float[Tensor, "batch ..."],
        noise: Float[Tensor, "batch ..."],
        t: Float[Tensor, " batch"],
        condition: Told,
    ) -> dict[str, Tensor]:
        """The named parts of the loss at data, noise and a time for each row."""
        point = self.path.points(t).like(x)
        value = self.value(point.alpha * x + point.sigma * noise, t, condition)
        return {self.parts.prediction: self.weighted(point, value, x, noise).mean()}

    def weighted(
        self, point: Point, value: Tensor, x: Tensor, noise: Tensor
    ) -> Float[Tensor, "batch ..."]:
        """The weighted squared error of each predicted number."""
        # Low precision would lose the small differences.
        value = value.to(torch.promote_types(value.dtype, torch.float32))
        squared_gain = gain(self.prediction, point) ** 2
        weight = self.weighting(point, squared_gain) / squared_gain
        return weight * (value - combine(self.prediction, point, x, noise)).square()

    # --- the network as a denoiser ------------------------------------------------------------

    def value(
        self,
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, " batch"],
        condition: Told,
        point: Point[Tensor] | None = None,
    ) -> Float[Tensor, "batch ..."]:
        """What the network predicts for noisy data at a time for each row.

        `point` has the coefficients at these times, where they are known.
        """
        point, each = point or self.path.points(t), (-1, *[1] * (x.dim() - 1))
        scale, label = self.preconditioner(point, t)
        value = self.network(scale.view(each) * x, label, condition)
        unit = preconditioners.unit(self.preconditioner, self.prediction, point)
        return value if unit is None else unit.view(each) * value

    @override
    def denoised(
        self, y: Float[Tensor, "batch ..."], level: Float[Tensor, " batch"], condition: Told
    ) -> Float[Tensor, "batch ..."]:
        """E[x0 | y] with a noise level for each row."""
        t = self.path.times(level)
        point = self.path.points(t).like(y)
        x = point.alpha * y
        return solve_data(self.prediction, point, x, self.value(x, t, condition))

    def denoiser(self, condition: Told) -> Denoiser:
        """The model as E[x0 | y] under a condition (None: unconditional)."""

        def denoise(y: Float[Tensor, "batch ..."], level: float) -> Float[Tensor, "batch ..."]:
            t = self.path.time(level)
            point = self.path.at(t)
            x = point.alpha * y
            value = self.value(x, x.new_full((len(x),), t), condition, point.rows(x))
            return solve_data(self.prediction, point, x, value)

        return denoise

    @override
    def drift(self, condition: Told) -> Drift:
        if isinstance(self.path, Linear) and self.prediction is velocity:
            return lambda x, t: self.value(x, x.new_full((len(x),), t), condition)
        return probability_flow(self.denoiser(condition), LINES)

    # --- sampling -----------------------------------------------------------------------------

    @override
    def draw(self, noise: Noise, n: int, condition: Told, options: DiffusionOptions) -> Tensor:
        solver, grid = self.plan(options)
        denoise = self.guided(condition, options)
        y = grid[0] * noise.normal(*self.description.shape)
        return self.discrete(run(solver, denoise, y, grid, noise))

    def guided(
        self, condition: Told, options: DiffusionOptions, denoise: Denoiser | None = None
    ) -> Denoiser:
        """The denoiser under a condition, another one if given, with the guidance of the options.

        Raises:
            DanluError: guidance is asked for and the model is told nothing.
        """
        if options.guidance != 1.0 and not self.description.condition:
            raise DanluError(
                f"guidance={options.guidance} needs a conditional model, and the data of this "
                "one has no classes: leave it at 1."
            )
        denoise = denoise or self.denoiser(condition)
        if condition is None:
            return denoise
        return chosen(options, self.denoiser(None), self.path)(denoise)

    @override
    def sampling_evaluations(self, options: DiffusionOptions) -> int:
        solver, grid = self.plan(options)
        calls = []

        def count(y: Tensor, level: float) -> Tensor:
            calls.append(level)
            return y

        denoise = count
        if self.description.condition:
            denoise = chosen(options, count, self.path)(count)
        run(solver, denoise, torch.empty(0, *self.description.shape), grid, BatchNoise(0))
        return len(calls)

    @override
    def exports(self, options: DiffusionOptions) -> dict[str, Export]:
        _, grid = self.plan(options)
        return {"denoiser": denoiser_export(self, self.denoised, self.path, grid, options)}

    def plan(
        self, options: DiffusionOptions, highest: float | None = None
    ) -> tuple[Solver, list[float]]:
        """The solver and its grid, from the highest noise level of training or a lower one."""
        solver, (lowest, most) = options.made_solver(), self.path.levels()
        self.parts.allow(options.solver, solver)
        ends = (lowest, most if highest is None else highest)
        grid = GRIDS[options.grid].target(self.path, solver.steps(options.evaluations), *ends)
        return solver, clipped(grid, *ends)

    @override
    def evidence(
        self, x: Tensor, noise: Noise, condition: Told, options: DiffusionOptions
    ) -> Evidence:
        if options.likelihood != "flow":
            self.parts.need_score(f"the likelihood {options.likelihood!r}")
        return super().evidence(x, noise, condition, options)

    # --- codes --------------------------------------------------------------------------------

    @override
    @torch.no_grad()
    def encode(self, x: Tensor, *, condition: Asked = None, seed: int = 0) -> Code:
        self.require("encode")
        x, ids = self.check_data(x, "encode"), self.check_condition(condition, len(x))
        x, _ = self.spread(x, ItemNoise(seed, range(len(x)), device=x.device, dtype=x.dtype))
        return self._carry(x, ids, *self.ends())

    @override
    @torch.no_grad()
    def decode(self, code: Code, *, condition: Asked = None, seed: int = 0) -> Tensor:
        self.require("decode")
        code, n = self.check_code(code)
        assert isinstance(code, Tensor)
        ids = self.check_condition(condition, n)
        return self.discrete(self._carry(code, ids, *reversed(self.ends())))

    def _carry(self, x: Tensor, condition: Told, first: float, last: float) -> Tensor:
        times = likelihood.dense_at_ends(self.Options().likelihood_steps, first, last)
        stepper, drift = likelihood.RungeKutta4(), self.drift(condition)
        for t, t_next in pairwise(times):
            x = stepper.step(drift, x, t, t_next)
        return x

    def discrete(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Samples on the levels of discrete data; continuous ones as they are."""
        return round_to_levels(x, self.description) if self.description.levels else x
