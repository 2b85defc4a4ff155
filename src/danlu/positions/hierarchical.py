r"""Hierarchical decomposition: a trained table of $n$ positions becomes one of $n^2$.

$q_{(i-1)n+j} = \alpha u_i + (1 - \alpha) u_j$ with $u_i = (p_i - \alpha p_1) / (1 - \alpha)$, where
$p$ is the trained table: the first $n$ rows are $p$ exactly, and the others are made of two digits.
With $\alpha = 1/2$ the positions $(i, j)$ and $(j, i)$ would be the same; 0.4 is usual.

Use it to run a model with learned positions, such as BERT, on longer sequences at once;
`hierarchical_table` converts the table of a checkpoint.

Sources: kexue.fm/archives/7947.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext
from danlu.optim.parameters import Rule, without_decay
from danlu.positions.base import PositionEncoding
from danlu.positions.learned import SPREAD

ALPHA = 0.4


class Hierarchical(PositionEncoding):
    """Adds rows made of two rows of a table of `length` positions; there are length^2 of them."""

    hooks = frozenset({"embed"})

    def __init__(self, dim: int, length: int, *, alpha: float = ALPHA) -> None:
        super().__init__()
        _check(alpha)
        self.alpha = alpha
        self.table = nn.Parameter(SPREAD * torch.randn(length, dim))

    def parameter_rules(self) -> dict[str, Rule]:
        """A table of vectors, as embeddings are."""
        return without_decay("table")

    @override
    def embed(
        self, x: Float[Tensor, "batch length width"], context: SequenceContext
    ) -> Float[Tensor, "batch length dim"]:
        positions = context.positions
        assert positions is not None
        size = len(self.table)
        # A graph cannot look at values; there the table itself refuses, less politely.
        if not torch.compiler.is_compiling() and positions.numel():
            farthest = int(positions.max())
            if farthest >= size**2:
                raise DanluError(f"Hierarchical positions end at {size**2 - 1}, got {farthest}.")
        base = (self.table - self.alpha * self.table[0]) / (1 - self.alpha)
        high, low = positions // size, positions % size
        return x + self.alpha * base[high] + (1 - self.alpha) * base[low]


def hierarchical_table(
    table: Float[Tensor, "positions dim"], length: int, *, alpha: float = ALPHA
) -> Float[Tensor, "length dim"]:
    """The first `length` rows of the longer table, for a checkpoint's own embedding.

    Raises:
        DanluError: the longer table has fewer rows, or alpha cannot tell its digits apart.
    """
    _check(alpha)
    if length > len(table) ** 2:
        raise DanluError(f"A table of {len(table)} rows gives {len(table) ** 2}, not {length}.")
    base = (table - alpha * table[0]) / (1 - alpha)
    index = torch.arange(length, device=table.device)
    return alpha * base[index // len(table)] + (1 - alpha) * base[index % len(table)]


def _check(alpha: float) -> None:
    if not 0 < alpha < 1 or alpha == 0.5:
        raise DanluError(f"alpha lies in (0, 1) and is not 1/2, got {alpha}.")
