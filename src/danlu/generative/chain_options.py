"""Options of chains: how a likelihood is averaged and what decoding hands on."""

from dataclasses import dataclass
from enum import StrEnum

from danlu.contracts import DanluError, unknown


class Estimator(StrEnum):
    """How the draws of stochastic layers are averaged: outside or inside the logarithm."""

    ELBO = "elbo"
    IWAE = "iwae"


class Output(StrEnum):
    """What a layer hands on when decoding: a draw, its mean, or a draw before its rounding."""

    DRAW = "draw"
    MEAN = "mean"
    UNROUNDED = "unrounded"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainOptions:
    """Options of chains.

    Attributes:
        draws: Monte-Carlo draws of the stochastic layers for each example.
        estimator: `elbo` averages log-weights, `iwae` averages weights.
        output: `draw` samples p(x|z), `mean` takes its mean, which is no sample of the model;
            `unrounded` draws values whose nearest levels are the sample.
    """

    draws: int = 16
    estimator: str = Estimator.IWAE
    output: str = Output.DRAW

    def __post_init__(self) -> None:
        if self.draws < 2:
            raise DanluError(f"draws must be at least 2 to have an error, got {self.draws}.")
        if self.estimator not in tuple(Estimator):
            raise unknown("estimator", self.estimator, [e.value for e in Estimator])
        if self.output not in tuple(Output):
            raise unknown("output", self.output, [o.value for o in Output])
