"""The contract of one link of a chain: two ways, what it contributes, and what it costs."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from danlu.contracts import Bound, Measure, Told
from danlu.contracts.noise import Noise
from danlu.generative.base import Code


class Evaluations(NamedTuple):
    """How often a layer calls its networks on an example.

    Attributes:
        encode: towards the prior, with the contribution.
        decode: towards the data, when all that it draws is drawn.
    """

    encode: int = 0
    decode: int = 0


class Layer(nn.Module, ABC):
    """One link of a chain.

    Attributes:
        bound: what its contribution is.
        measure: the measure it gives its input; None keeps the measure of what follows.
        keeps: how many tensors it leaves in the code beside the one that goes on (a split: 1).
        stochastic: whether `encode` draws.
        domain: between which ends its numbers lie.
        tried: shapes of the examples on which the laws of `LAYERS` try it.
        evaluations: calls of its networks.
    """

    bound: ClassVar[Bound]
    measure: Measure | None = None
    keeps: ClassVar[int] = 0
    stochastic: ClassVar[bool] = False
    evaluations: Evaluations = Evaluations()
    domain: tuple[float, float] = (-math.inf, math.inf)
    tried: ClassVar[tuple[tuple[int, ...], ...]] = ((2,), (2, 2, 2))

    def start(self, x: Float[Tensor, "batch ..."]) -> None:
        """Data-dependent initialisation on the first examples that reach it; nothing by default."""

    def networks(self) -> list[nn.Module]:
        """The modules that it calls on examples or codes, if there are any."""
        return []

    @abstractmethod
    def encode(
        self, x: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> tuple[Code, Float[Tensor, " batch"]]:
        """Towards the prior: the code (a tuple when the layer keeps some) and its contribution."""

    @abstractmethod
    def decode(self, code: Code, condition: Told, noise: Noise) -> Float[Tensor, "batch ..."]:
        """Towards the data; a layer that keeps tensors draws them when it gets the last alone."""

    def mean(self, code: Code, condition: Told, noise: Noise) -> Float[Tensor, "batch ..."]:
        """`decode` with the mean in place of the draw, where the output is a distribution."""
        return self.decode(code, condition, noise)

    def unrounded(self, code: Code, condition: Told, noise: Noise) -> Float[Tensor, "batch ..."]:
        """`decode` without its last rounding to levels, if it has one."""
        return self.decode(code, condition, noise)
