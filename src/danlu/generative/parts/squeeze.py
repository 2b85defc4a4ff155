r"""Squeeze: every square of pixels becomes channels, so that a split can halve them.

$[C, H, W] \to [C f^2, H/f, W/f]$ is a permutation of the numbers, hence $\log|\det J| = 0$.

Sources: arXiv:1605.08803 §3.6.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle
from typing_extensions import override

from danlu.contracts import Bound, Told
from danlu.contracts.noise import Noise
from danlu.generative.chain import Layer

FACTOR = 2
"""Side of the square."""


class Squeeze(Layer):
    """Squares of 2 x 2 pixels to channels; both sides of the image must be even."""

    bound = Bound.EXACT
    tried = ((1, 2, 2), (2, 4, 2))

    @override
    def encode(
        self, x: Float[Tensor, "batch channels height width"], condition: Told, noise: Noise
    ) -> tuple[Float[Tensor, "batch folded rows columns"], Float[Tensor, " batch"]]:
        return pixel_unshuffle(x, FACTOR), x.new_zeros(len(x))

    @override
    def decode(
        self, code: Float[Tensor, "batch folded rows columns"], condition: Told, noise: Noise
    ) -> Float[Tensor, "batch channels height width"]:
        return pixel_shuffle(code, FACTOR)
