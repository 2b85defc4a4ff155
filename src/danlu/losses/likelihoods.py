r"""Distributions of data given a network's output: what a decoder predicts.

**Discretised logistic**, for values on an even grid with spacing $w$: the probability of a level
$x$ is the mass of a logistic with location $\mu$ and scale $s$ between $x \pm w/2$, with open
end bins. With $a = (x + w/2 - \mu)/s$ and $b = (x - w/2 - \mu)/s$,

$\log(\sigma(a) - \sigma(b)) = \log\sigma(a) + \log\sigma(-b) + \log(1 - e^{b-a})$,

which is exact at any scale, so that the bins sum to 1.

**Gaussian**, for continuous values: $\mathcal N(x; \mu, s^2)$ with one learned scale $s$.

Sources: arXiv:1701.05517 eq. 2 (discretised logistic); arXiv:1312.6114 app. C (Gaussian).
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus
from typing_extensions import override

from danlu.contracts import DanluError, DataDescription, Measure
from danlu.contracts.noise import Noise
from danlu.optim.parameters import Rule

SMALLEST_SCALE = math.exp(-4.0)
"""Smallest logistic scale, in spacings of the grid: all mass then lies in one bin."""
LARGEST_SCALE = 100.0
"""Largest logistic scale, in widths of the data's range: the end bins then have half each."""
START_SCALE = 1 / 16
"""Logistic scale where the network's output is 0, in widths of the data's range."""


class Likelihood(nn.Module, ABC):
    """A distribution over data whose parameters are a network's output.

    The output has some values for each number of an example, stacked along the first axis after
    the batch: `[batch, parameters_per_number * shape[0], *shape[1:]]`.

    Attributes:
        measure: what `log_prob` is: a probability or a density.
        parameters_per_number: network outputs for each number.
    """

    measure: ClassVar[Measure]
    parameters_per_number: ClassVar[int]

    def __init__(self, description: DataDescription) -> None:
        super().__init__()
        self.description = description

    @abstractmethod
    def log_prob(
        self, x: Float[Tensor, "batch ..."], output: Float[Tensor, "batch ..."]
    ) -> Float[Tensor, " batch"]:
        """Log-likelihood of each example, summed over its numbers."""

    @abstractmethod
    def unrounded(
        self, output: Float[Tensor, "batch ..."], noise: Noise
    ) -> Float[Tensor, "batch ..."]:
        """A draw for each row of the output, before it is rounded to levels, if it is at all."""

    def draw(self, output: Float[Tensor, "batch ..."], noise: Noise) -> Float[Tensor, "batch ..."]:
        """One draw for each row of the output."""
        return self.unrounded(output, noise)

    @abstractmethod
    def mean(self, output: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The expected value for each row of the output."""


class DiscretisedLogistic(Likelihood):
    """Probabilities of levels; the network gives location and raw log-scale."""

    measure = Measure.COUNTING
    parameters_per_number = 2

    def __init__(self, description: DataDescription) -> None:
        if description.levels is None:
            raise DanluError("The discretised logistic needs data with levels; use 'gaussian'.")
        super().__init__(description)

    @override
    def log_prob(
        self, x: Float[Tensor, "batch ..."], output: Float[Tensor, "batch ..."]
    ) -> Float[Tensor, " batch"]:
        return self.log_mass(x, output).flatten(1).sum(1)

    def log_mass(
        self, x: Float[Tensor, "batch ..."], output: Float[Tensor, "batch ..."]
    ) -> Float[Tensor, "batch ..."]:
        """Log-probability of every number."""
        location, scale = self._location_and_scale(output)
        spacing = self.description.spacing
        upper = (x + spacing / 2 - location) / scale
        lower = (x - spacing / 2 - location) / scale
        inner = (-torch.expm1(-spacing / scale)).log()
        # The end bins are open: half a spacing decides which bin a value is in.
        is_lowest = x < self.description.low + spacing / 2
        is_highest = x > self.description.high - spacing / 2
        log_mass = logsigmoid(upper) + logsigmoid(-lower) + inner
        log_mass = torch.where(is_lowest, logsigmoid(upper), log_mass)
        return torch.where(is_highest, logsigmoid(-lower), log_mass)

    @override
    def unrounded(
        self, output: Float[Tensor, "batch ..."], noise: Noise
    ) -> Float[Tensor, "batch ..."]:
        location, scale = self._location_and_scale(output)
        u = noise.uniform(*location.shape[1:]).clamp(1e-7, 1 - 1e-7)
        return location + scale * (u.log() - (-u).log1p())

    @override
    def draw(self, output: Float[Tensor, "batch ..."], noise: Noise) -> Float[Tensor, "batch ..."]:
        return round_to_levels(self.unrounded(output, noise), self.description)

    @override
    def mean(self, output: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        location, scale = self._location_and_scale(output)
        low, spacing = self.description.low, self.description.spacing
        # E[x] = low + spacing * sum over the bin edges of P(x above the edge).
        above = torch.zeros_like(location)
        for level in range((self.description.levels or 1) - 1):
            edge = low + (level + 0.5) * spacing
            above = above + torch.sigmoid((location - edge) / scale)
        return low + spacing * above

    def _location_and_scale(self, output: Tensor) -> tuple[Tensor, Tensor]:
        # Low precision would merge neighbouring levels.
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        location, raw = output.chunk(2, dim=1)
        lowest = math.log(SMALLEST_SCALE * self.description.spacing)
        width = math.log(self.description.high - self.description.low)
        start, highest = width + math.log(START_SCALE), width + math.log(LARGEST_SCALE)
        log_scale = lowest + softplus(raw + start - lowest)
        return location, log_scale.clamp(max=highest).exp()


class Gaussian(Likelihood):
    """Densities of continuous values; the network gives the mean, the scale is one parameter."""

    measure = Measure.LEBESGUE
    parameters_per_number = 1

    def __init__(self, description: DataDescription) -> None:
        super().__init__(description)
        start = 0.1 * (description.high - description.low)
        self.log_scale = nn.Parameter(torch.tensor(math.log(start)))

    def parameter_rules(self) -> dict[str, Rule]:
        """The logarithm of a scale is of order 1."""
        return {"log_scale": Rule(scale=1.0)}

    @override
    def log_prob(
        self, x: Float[Tensor, "batch ..."], output: Float[Tensor, "batch ..."]
    ) -> Float[Tensor, " batch"]:
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        error = (x - output) * (-self.log_scale).exp()
        density = -0.5 * (error.square() + math.log(2 * math.pi)) - self.log_scale
        return density.flatten(1).sum(1)

    @override
    def unrounded(
        self, output: Float[Tensor, "batch ..."], noise: Noise
    ) -> Float[Tensor, "batch ..."]:
        return output + self.log_scale.exp() * noise.normal(*output.shape[1:])

    @override
    def mean(self, output: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        return output


def round_to_levels(
    x: Float[Tensor, "*shape"], description: DataDescription
) -> Float[Tensor, "*shape"]:
    """The nearest level of the data's grid."""
    level = nearest_levels(x, description)
    return (description.low + level * description.spacing).clamp(description.low, description.high)


def nearest_levels(
    x: Float[Tensor, "*shape"], description: DataDescription
) -> Float[Tensor, "*shape"]:
    """The number of the nearest level, counted from 0 at the lowest."""
    return ((x - description.low) / description.spacing).round()


def ids_of(x: Tensor, description: DataDescription) -> Int[Tensor, "batch length"]:
    """Data on its scale as ids in one row for each example; what are ids already stay."""
    if x.dtype.is_floating_point:
        x = nearest_levels(x, description)
    return x.long().flatten(1)
