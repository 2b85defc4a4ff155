r"""Coupling: some numbers stay, and tell how each of the others is moved.

With a mask m of the numbers that stay, $z = x$ where $m = 1$, and elsewhere
$z_i = g(x_i; \theta_i)$ with an increasing g and $\theta = f(m \odot x, c)$, so that
$\log|\det J| = \sum_i \ln g'(x_i; \theta_i)$ and the inverse needs no inverse of the network f:
both sides share what stays. The mask is a row of `MASKS`, the network of `NETWORKS`, and g of
`TRANSFORMS`. The class c reaches the network as features, with a null class for no class.

Sources: arXiv:1605.08803 eq. 4-9 and fig. 3.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.conditioning import Conditioner
from danlu.contracts import Bound, Told
from danlu.contracts.noise import Noise
from danlu.generative.chain import Evaluations, Layer
from danlu.generative.parts.transforms import Transform


class Coupling(Layer):
    """One coupling.

    Args:
        mask: `[*shape]`, True where a number stays.
        network: maps (masked x, features) to the transform's parameters, stacked along the first
            axis after the batch.
        embedding: of the condition; its width is the number of features.
        transform: how a number is moved by its parameters.
    """

    bound = Bound.EXACT
    evaluations = Evaluations(encode=1, decode=1)
    mask: Bool[Tensor, "*shape"]

    def __init__(
        self,
        mask: Bool[Tensor, "*shape"],
        network: nn.Module,
        embedding: Conditioner,
        transform: Transform,
    ) -> None:
        super().__init__()
        self.register_buffer("mask", mask)
        self.network = network
        self.embedding = embedding
        self.transform = transform

    @override
    def networks(self) -> list[nn.Module]:
        return [self.network]

    @override
    def encode(
        self, x: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, " batch"]]:
        moved, log_slope = self.transform(x, self._moves(x, condition))
        log_slope = log_slope.masked_fill(self.mask, 0.0)
        return torch.where(self.mask, x, moved), log_slope.flatten(1).sum(1)

    @override
    def decode(
        self, code: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> Float[Tensor, "batch ..."]:
        moved = self.transform.inverse(code, self._moves(code, condition))
        return torch.where(self.mask, code, moved)

    def _moves(self, x: Tensor, condition: Told) -> Float[Tensor, "batch parameters ..."]:
        """Of every number, also of those that stay."""
        features = self.embedding.vector(condition, len(x))
        output = self.network(x.masked_fill(~self.mask, 0.0), features).to(x.dtype)
        return output.unflatten(1, (self.transform.parameters_per_number, -1))
