"""Networks between data and tokens: a coarse map of an image, or parts of a vector.

Tokens are `[batch, length, dim]`; for an image they are the positions of its coarsest map, row by
row.
"""

from jaxtyping import Float
from torch import Tensor, nn

from danlu.backbones.convnets import (
    ConvDecoder,
    ConvEncoder,
    PlainBlock,
    coarsest,
    map_from,
    map_into,
)
from danlu.backbones.mlp import MLP
from danlu.contracts import DataDescription

VECTOR_TOKENS = 4
"""Into how many tokens a vector is encoded."""


class ToTokens(nn.Module):
    """Data to `[batch, length, dim]`."""

    def __init__(self, description: DataDescription, dim: int, *, width: int) -> None:
        super().__init__()
        self.image = description.is_image
        self.length = token_count(description)
        if self.image:
            self.network = ConvEncoder(
                description.shape, dim, width=width, block=PlainBlock, leave=map_from
            )
        else:
            self.network = MLP(description.dims, self.length * dim, width=width)

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch length dim"]:
        """The tokens of each example."""
        h = self.network(x)
        return h.flatten(2).transpose(1, 2) if self.image else h.unflatten(1, (self.length, -1))


class FromTokens(nn.Module):
    """Tokens `[batch, length, dim]` to `values` outputs for each number of the data."""

    def __init__(self, description: DataDescription, dim: int, *, values: int, width: int) -> None:
        super().__init__()
        self.image = description.is_image
        first, *rest = description.shape
        if self.image:
            self.grid = coarsest(description.shape, width)[1:]
            shape = (values * first, *rest)
            self.network = ConvDecoder(dim, shape, width=width, block=PlainBlock, enter=map_into)
        else:
            self.network = MLP(token_count(description) * dim, values * first, width=width)

    def forward(self, tokens: Float[Tensor, "batch length dim"]) -> Float[Tensor, "batch ..."]:
        """The outputs for each example."""
        if self.image:
            return self.network(tokens.transpose(1, 2).unflatten(2, self.grid))
        return self.network(tokens.flatten(1))


def token_count(description: DataDescription) -> int:
    """Tokens of one example."""
    if not description.is_image:
        return VECTOR_TOKENS
    _, rows, columns = coarsest(description.shape, 1)
    return rows * columns
