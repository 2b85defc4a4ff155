r"""Typed likelihoods: a value in nats with its bound, statistical error, cost and measure.

A lower bound is not a likelihood, an estimate has an error, and a density is not a probability;
`Evidence` keeps these apart. Adding two contributions of one chain follows

exact + exact = exact, exact + lower = lower, anything + none = none,

errors add in quadrature and evaluations add up.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from jaxtyping import Float
from torch import Tensor

from danlu.contracts.errors import DanluError


class Bound(StrEnum):
    """What a likelihood value is with respect to the true log-likelihood of the model."""

    EXACT = "exact"
    LOWER = "lower"
    NONE = "none"

    def with_(self, other: "Bound") -> "Bound":
        """The bound of a sum of two contributions."""
        if Bound.NONE in (self, other):
            return Bound.NONE
        return Bound.LOWER if Bound.LOWER in (self, other) else Bound.EXACT


class Measure(StrEnum):
    """Probability of a discrete value, or density of a continuous one."""

    COUNTING = "counting"
    LEBESGUE = "lebesgue"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The log-likelihood of a batch, with all that is needed to compare it.

    Attributes:
        value: `[batch]`, nats.
        bound: exact, lower or none (discretised ODEs, prior mismatch).
        stderr: `[batch]`, standard error of `value` as an estimate; zeros when deterministic.
        evaluations: calls of networks spent on each example.
        measure: counting (probabilities) or lebesgue (densities).
        condition: what the value is conditioned on; "none" or for example "class".
        dims: numbers in one example.
    """

    value: Float[Tensor, " batch"]
    bound: Bound
    stderr: Float[Tensor, " batch"]
    evaluations: int
    measure: Measure
    condition: str
    dims: int

    def bits_per_dim(self) -> Float[Tensor, " batch"]:
        """Code length in bits per number; refused for a density of continuous data.

        Raises:
            DanluError: the value is a density; put a `Dequantise` layer before the model.
        """
        if self.measure is Measure.LEBESGUE:
            raise DanluError(
                "bits_per_dim() of a density is meaningless; put a Dequantise layer first."
            )
        return -self.value / (self.dims * math.log(2.0))

    def mean(self) -> tuple[float, float]:
        """The batch mean and its standard error (over examples and over estimates), nats."""
        value = self.value.double()
        n = len(value)
        spread = value.var(unbiased=True).item() if n > 1 else 0.0
        # The variance over examples already contains each estimate's own variance.
        error = math.sqrt(spread / n) if n > 1 else self.stderr.double().item()
        return value.mean().item(), error
