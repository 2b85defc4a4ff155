r"""Logit: numbers of a bounded range spread over the whole line.

With the range's ends a and b, $v = (x - a)/(b - a)$, $p = \alpha + (1 - 2\alpha) v$ and
$z = \ln p - \ln(1 - p)$. The margin $\alpha$ keeps the ends finite. Since $dz/dp = 1/(p(1 - p))$,

$\log|\det J| = \sum \ln\frac{1 - 2\alpha}{b - a} + \operatorname{softplus}(z)
+ \operatorname{softplus}(-z)$.

Sources: arXiv:1605.08803 §4.1.
"""

import math

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus
from typing_extensions import override

from danlu.contracts import Bound, Told
from danlu.contracts.noise import Noise
from danlu.generative.chain import Layer

MARGIN = 0.05


class Logit(Layer):
    """The logit of numbers between `low` and `high`."""

    bound = Bound.EXACT

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.slope = (1 - 2 * MARGIN) / (high - low)
        beyond = MARGIN / self.slope
        self.domain = (low - beyond, high + beyond)

    @override
    def encode(
        self, x: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, " batch"]]:
        z = (MARGIN + (x - self.low) * self.slope).logit()
        return z, (math.log(self.slope) + softplus(z) + softplus(-z)).flatten(1).sum(1)

    @override
    def decode(
        self, code: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> Float[Tensor, "batch ..."]:
        return self.low + (code.sigmoid() - MARGIN) / self.slope
