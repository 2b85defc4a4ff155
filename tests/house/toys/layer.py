r"""Hyperbolic sine: every number is drawn out, the far ones most.

$z = \sinh x$ with $\log|\det J| = \sum_i \log\cosh x_i$, and back by $x = \operatorname{asinh} z$.
Data whose tails are short comes nearer a normal distribution by it; nothing is learned.

Source: Johnson, Systems of frequency curves (1949), the unbounded system the other way round.
"""

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import Bound, Told
from danlu.contracts.noise import Noise
from danlu.generative.chain import Layer


class ToyLayer(Layer):
    """The hyperbolic sine of each number."""

    bound = Bound.EXACT

    @override
    def encode(
        self, x: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, " batch"]]:
        return x.sinh(), x.cosh().log().flatten(1).sum(1)

    @override
    def decode(
        self, code: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> Float[Tensor, "batch ..."]:
        return code.asinh()
