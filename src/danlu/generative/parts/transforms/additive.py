r"""Additive transform: every number is shifted, and no volume changes.

$z = x + t$ with $\log z' = 0$. A stack of such couplings keeps volumes as they are; a
normalisation or a scale of its own must then bring the numbers to the size of the noise.

Use it for couplings that cannot be ill-conditioned, at half of the affine ones' parameters.

Sources: arXiv:1410.8516 §3.2.
"""

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.generative.parts.transforms.transform import Transform


class Additive(Transform):
    """A shift."""

    parameters_per_number = 1

    @override
    def forward(
        self, x: Float[Tensor, "batch ..."], theta: Float[Tensor, "batch parameters ..."]
    ) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, "batch ..."]]:
        return x + theta[:, 0], x.new_zeros(x.shape)

    @override
    def inverse(
        self, z: Float[Tensor, "batch ..."], theta: Float[Tensor, "batch parameters ..."]
    ) -> Float[Tensor, "batch ..."]:
        return z - theta[:, 0]
