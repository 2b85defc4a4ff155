r"""Uniform dequantisation: discrete levels become continuous, and a density becomes a bound.

A value x on a grid of spacing $\delta$ is moved to $y = x + \delta(u - \tfrac12)$ with uniform u.
Since q(y|x) is uniform on the bin, $\log P(x) \ge E[\log p(y)] - \log q(y|x)$ with
$-\log q(y|x) = D\log\delta$. Decoding rounds to the nearest level.

Sources: arXiv:1511.01844 §3.1, arXiv:2007.02731 (as a surjection).
"""

import math

from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from danlu.contracts import Bound, DataDescription, Measure
from danlu.generative.chain import Layer
from danlu.solvers.noise import Noise


class Dequantise(Layer):
    """Adds uniform noise of one bin; gives a density the counting measure."""

    bound = Bound.LOWER
    measure = Measure.COUNTING
    stochastic = True

    def __init__(self, description: DataDescription) -> None:
        super().__init__()
        self.low, self.high = description.low, description.high
        self.spacing = description.spacing

    @override
    def encode(
        self, x: Float[Tensor, "batch ..."], condition: Int[Tensor, " batch"] | None, noise: Noise
    ) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, " batch"]]:
        u = noise.uniform(*x.shape[1:]).to(x.dtype)
        contribution = x.new_full((len(x),), x[0].numel() * math.log(self.spacing) if len(x) else 0)
        return x + self.spacing * (u - 0.5), contribution

    @override
    def decode(
        self,
        code: Float[Tensor, "batch ..."],
        condition: Int[Tensor, " batch"] | None,
        noise: Noise,
    ) -> Float[Tensor, "batch ..."]:
        level = ((code - self.low) / self.spacing).round()
        return (self.low + level * self.spacing).clamp(self.low, self.high)
