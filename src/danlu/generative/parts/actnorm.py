r"""Activation normalisation: a learned shift and scale of every channel, started from data.

$z_c = (x_c - m_c) e^{-l_c}$ with $\log|\det J| = -P \sum_c l_c$ over the P pixels of a channel.
The first batch gives m and l its means and log-deviations, so that training begins with
standardised numbers; later they are parameters like any other, and a batch does not matter.

Sources: arXiv:1807.03039 §3.1.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import Bound
from danlu.generative.chain import Ids, Layer
from danlu.solvers.noise import Noise

SMALLEST_DEVIATION = 1e-3
"""Channels that hardly vary in the first batch are not blown up further."""


class ActNorm(Layer):
    """Shift and scale of each index of the first axis after the batch."""

    bound = Bound.EXACT

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(shape[0], *[1] * (len(shape) - 1)))
        self.log_scale = nn.Parameter(torch.zeros_like(self.shift))

    @torch.no_grad()
    def start(self, x: Float[Tensor, "batch channels ..."]) -> None:
        """Standardise these examples."""
        flat = x.transpose(0, 1).flatten(1)
        deviation = flat.std(1, correction=0).clamp(min=SMALLEST_DEVIATION)
        self.shift.copy_(flat.mean(1).view_as(self.shift))
        self.log_scale.copy_(deviation.log().view_as(self.shift))

    @override
    def encode(
        self, x: Float[Tensor, "batch channels ..."], condition: Ids, noise: Noise
    ) -> tuple[Float[Tensor, "batch channels ..."], Float[Tensor, " batch"]]:
        pixels = x[0, 0].numel()
        volume = -pixels * self.log_scale.sum()
        return (x - self.shift) * (-self.log_scale).exp(), volume.expand(len(x))

    @override
    def decode(
        self, code: Float[Tensor, "batch channels ..."], condition: Ids, noise: Noise
    ) -> Float[Tensor, "batch channels ..."]:
        return code * self.log_scale.exp() + self.shift
