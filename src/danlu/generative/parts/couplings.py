r"""Affine coupling: some numbers stay, and tell how the others are moved and scaled.

With a mask m of the numbers that stay, $z = x$ where $m = 1$, and elsewhere
$z = x \odot e^{s(m \odot x, c)} + t(m \odot x, c)$, so that $\log|\det J| = \sum s$ and the inverse
needs no inverse of the network: both sides share what stays. The log-scale is bounded,
$s = a \tanh(r / a)$ with the network's raw output r.

Masks alternate over the layers: a checkerboard of pixels (of entries, on vectors), or one half of
the channels. The class c reaches the network as features, with a null class for no class.

Sources: arXiv:1605.08803 eq. 4-9 and fig. 3.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import Bound
from danlu.contracts.noise import Noise
from danlu.generative.chain import Ids, Layer
from danlu.layers.condition import ClassEmbedding

LIMIT = 2.0
"""Bound of the log-scale, approached smoothly."""


def checkerboard(shape: tuple[int, ...], parity: int) -> Bool[Tensor, "*shape"]:
    """Pixels or entries whose coordinates sum to an odd number stay, or to an even one."""
    axes = shape[1:] if len(shape) > 1 else shape
    sums = sum(torch.meshgrid(*map(torch.arange, axes), indexing="ij"), torch.tensor(parity))
    return (sums % 2 == 1).expand(shape).clone()


def channel_half(shape: tuple[int, ...], parity: int) -> Bool[Tensor, "*shape"]:
    """The first half of the channels stays, or the second."""
    first = torch.arange(shape[0]) < shape[0] // 2
    return (first ^ bool(parity)).view(-1, *[1] * (len(shape) - 1)).expand(shape).clone()


class Coupling(Layer):
    """One affine coupling.

    Args:
        mask: `[*shape]`, True where a number stays.
        network: maps (masked x, features) to shift and raw log-scale, stacked along the first
            axis after the batch.
        embedding: of the class; its width is the number of features.
    """

    bound = Bound.EXACT
    mask: Bool[Tensor, "*shape"]

    def __init__(
        self, mask: Bool[Tensor, "*shape"], network: nn.Module, embedding: ClassEmbedding
    ) -> None:
        super().__init__()
        self.register_buffer("mask", mask)
        self.network = network
        self.embedding = embedding

    @override
    def encode(
        self, x: Float[Tensor, "batch ..."], condition: Ids, noise: Noise
    ) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, " batch"]]:
        shift, log_scale = self._shift_and_scale(x, condition)
        return x * log_scale.exp() + shift, log_scale.flatten(1).sum(1)

    @override
    def decode(
        self, code: Float[Tensor, "batch ..."], condition: Ids, noise: Noise
    ) -> Float[Tensor, "batch ..."]:
        shift, log_scale = self._shift_and_scale(code, condition)
        return (code - shift) * (-log_scale).exp()

    def _shift_and_scale(self, x: Tensor, condition: Ids) -> tuple[Tensor, Tensor]:
        """Both are 0 where numbers stay."""
        features = self.embedding.known(condition, len(x))
        output = self.network(x.masked_fill(~self.mask, 0.0), features)
        shift, raw = output.to(x.dtype).chunk(2, dim=1)
        log_scale = LIMIT * torch.tanh(raw / LIMIT)
        return shift.masked_fill(self.mask, 0.0), log_scale.masked_fill(self.mask, 0.0)
