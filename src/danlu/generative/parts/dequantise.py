r"""Uniform dequantisation: discrete levels become continuous, and a density becomes a bound.

A value x on a grid of spacing $\delta$ is moved to $y = x + \delta(u - \tfrac12)$ with uniform u.
Since q(y|x) is uniform on the bin, $\log P(x) \ge E[\log p(y)] - \log q(y|x)$ with
$-\log q(y|x) = D\log\delta$. Decoding rounds to the nearest level.

Sources: arXiv:1511.01844 §3.1, arXiv:2007.02731 (as a surjection).
"""

import math

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import Bound, DataDescription, Measure, Told
from danlu.contracts.noise import Noise
from danlu.generative.chain import Layer
from danlu.losses.likelihoods import round_to_levels


class Dequantise(Layer):
    """Adds uniform noise of one bin; gives a density the counting measure."""

    bound = Bound.LOWER
    measure = Measure.COUNTING
    stochastic = True

    def __init__(self, description: DataDescription) -> None:
        super().__init__()
        self.description = description
        self.spacing = description.spacing

    @override
    def encode(
        self, x: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, " batch"]]:
        u = noise.uniform(*x.shape[1:]).to(x.dtype)
        contribution = x.new_full((len(x),), self.description.dims * math.log(self.spacing))
        return x + self.spacing * (u - 0.5), contribution

    @override
    def decode(
        self, code: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> Float[Tensor, "batch ..."]:
        return round_to_levels(code, self.description)

    @override
    def unrounded(
        self, code: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> Float[Tensor, "batch ..."]:
        return code
