r"""Learned encoding: a vector for each position is added to the input.

$x_n + P_n$ with a table $P \in R^{N \times d}$, drawn from $\mathcal N(0, 0.02^2)$. There is
nothing beyond row $N$, and asking for it is an error.

Use it when all sequences are short and of known length, as of the pixels of a picture.

Sources: arXiv:1705.03122 §3.1; arXiv:1810.04805 (initialisation).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext
from danlu.positions.base import PositionEncoding

SPREAD = 0.02


class Learned(PositionEncoding):
    """Adds a row of a trained table of `length` positions."""

    hooks = frozenset({"embed"})

    def __init__(self, dim: int, length: int) -> None:
        super().__init__()
        self.table = nn.Embedding(length, dim)
        nn.init.normal_(self.table.weight, std=SPREAD)

    @override
    def embed(
        self, x: Float[Tensor, "batch length width"], context: SequenceContext
    ) -> Float[Tensor, "batch length dim"]:
        return x + self.rows(context)

    def rows(self, context: SequenceContext) -> Float[Tensor, "batch length dim"]:
        """The row of each position."""
        positions = context.positions
        assert positions is not None
        # A graph cannot look at values; there the table itself refuses, less politely.
        if not torch.compiler.is_compiling() and positions.numel():
            last, size = int(positions.max()), self.table.num_embeddings
            if last >= size:
                raise DanluError(f"Learned positions end at {size - 1}, got {last}.")
        return self.table(positions)
