r"""The likelihoods of a denoiser: by its flow, its chain's bound, or each point's denoising.

All are typed evidence. The flow's is exact but for the discretisation of its ODE and the law that
is assumed at its end; the bound's is below the chain's own log-likelihood; the pointwise one is the
log-density of an exact denoiser. The ODE is taken on the linear path, whose lines bend least.

Sources: arXiv:2011.13456 eq. 39 (flow), arXiv:2006.11239 eq. 5 (bound), arXiv:2302.03792
eq. 8 (pointwise).
"""

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import Bound, DataDescription, Evidence, Measure, Told
from danlu.contracts.noise import Noise
from danlu.generative.base import GenerativeModel
from danlu.generative.diffusion import GRIDS, likelihood
from danlu.generative.diffusion.bound import ReverseChain, RowDenoiser
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.paths import Linear, Path
from danlu.generative.diffusion.pointwise import pointwise
from danlu.generative.parts.dequantise import Dequantise
from danlu.solvers.steppers import Drift

LINES = Linear()
"""The path of likelihoods and encodings, whatever the path of training."""


class Scored(GenerativeModel):
    """A denoiser between two noise levels, with the likelihoods that follow from it.

    Args:
        description: of the data.
        path: of training, whose levels are those where the denoiser is known.
    """

    def __init__(self, description: DataDescription, path: Path) -> None:
        super().__init__(description)
        self.path = path
        self.dequantise = Dequantise(description) if description.levels else None

    @abstractmethod
    def denoised(
        self, y: Float[Tensor, "batch ..."], level: Float[Tensor, " batch"], condition: Told
    ) -> Float[Tensor, "batch ..."]:
        """E[x0 | y] with a noise level for each row."""

    @abstractmethod
    def drift(self, condition: Told) -> Drift:
        """The velocity on the linear path."""

    def ends(self) -> tuple[float, float]:
        """The times on the linear path of the lowest and highest noise level of training."""
        if isinstance(self.path, Linear):
            return self.path.earliest, self.path.latest
        lowest, highest = self.path.levels()
        return LINES.time(lowest), LINES.time(highest)

    def spread(self, x: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Continuous values of the data, and what the rounding contributes to a likelihood."""
        return (
            self.dequantise.encode(x, None, noise) if self.dequantise else (x, x.new_zeros(len(x)))
        )

    @override
    def evidence(
        self, x: Tensor, noise: Noise, condition: Told, options: DiffusionOptions
    ) -> Evidence:
        if options.likelihood == "bound":
            return self._bound(x, noise, condition, options)
        if options.likelihood == "pointwise":
            return self._pointwise(x, noise, condition, options)
        # Every draw has its own dequantisation noise and probes: their spread holds both errors.
        draws = options.draws if self.dequantise else 1
        passes = [self._one_pass(x, noise, condition, options) for _ in range(draws)]
        values = torch.stack([value for value, _ in passes])
        flowed = passes[0][1]
        error = values.std(0) / math.sqrt(draws) if draws > 1 else flowed.stderr()
        cost = draws * flowed.evaluations
        return self._evidence(values.mean(0), Bound.NONE, error, cost, condition)

    def reverse_chain(
        self, levels: Sequence[float], condition: Told, options: DiffusionOptions
    ) -> tuple[ReverseChain, RowDenoiser]:
        """The chain over rising levels whose bound is asked for, and the denoiser it is given."""

        def denoise(y: Tensor, level: Tensor) -> Tensor:
            return self.denoised(y, level, condition)

        return ReverseChain(levels, options.variance), denoise

    def _bound(
        self, x: Tensor, noise: Noise, condition: Told, options: DiffusionOptions
    ) -> Evidence:
        levels = GRIDS["linspace"].target(self.path, options.chain, *self.path.levels())
        # Rising, without the 0.
        chain, denoise = self.reverse_chain(levels[-2::-1], condition, options)
        draws = [
            chain.bound(denoise, x, noise, self.description, options.terms)
            for _ in range(options.draws)
        ]
        values = torch.stack(draws).detach()
        error = values.std(0) / math.sqrt(options.draws)
        cost = options.draws * (1 + min(options.terms, options.chain - 1))
        return self._evidence(values.mean(0), Bound.LOWER, error, cost, condition)

    def _pointwise(
        self, x: Tensor, noise: Noise, condition: Told, options: DiffusionOptions
    ) -> Evidence:
        def denoise(y: Tensor, level: Tensor) -> Tensor:
            return self.denoised(y, level, condition)

        draws = []
        for _ in range(options.draws):
            moved, rounding = self.spread(x, noise)
            value = pointwise(denoise, moved, noise, self.path.levels(), options.terms)
            draws.append(rounding + value)
        values = torch.stack(draws).detach()
        error = values.std(0) / math.sqrt(options.draws)
        cost = options.draws * options.terms
        return self._evidence(values.mean(0), Bound.NONE, error, cost, condition)

    def _evidence(
        self, value: Tensor, bound: Bound, stderr: Tensor, evaluations: int, condition: Told
    ) -> Evidence:
        return Evidence(
            value=value,
            bound=bound,
            stderr=stderr,
            evaluations=evaluations,
            measure=Measure.COUNTING if self.dequantise else Measure.LEBESGUE,
            condition=self.named(condition),
            dims=self.description.dims,
        )

    @torch.no_grad()
    def _one_pass(
        self, x: Tensor, noise: Noise, condition: Told, options: DiffusionOptions
    ) -> tuple[Float[Tensor, " batch"], likelihood.Flowed]:
        x, rounding = self.spread(x, noise)
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

        A variational bound has it inside, and pointwise nothing is assumed.
        """
        if self.Options().likelihood != "flow":
            return None
        last = self.ends()[1]
        return (1 - last) ** 2 * x.flatten(1).square().sum(1) / (2 * last**2)
