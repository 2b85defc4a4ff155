r"""NormAttention (TransNormer): linear attention without a divisor, normalised afterwards.

$O = \mathrm{RMSNorm}(\phi(Q) (\phi(K)^\top V))$ for each head. The quotient
$s_{ij} / \sum_j s_{ij}$ of linear attention has a gradient that is bounded only by
$1 / (4 |s_{ij}|)$; a norm of the sum has no such pole.

Use it in the later layers of a stack whose first half is `diag-attention`.

Sources: arXiv:2210.10340 eq. 10-12.
"""

from typing import Any

from torch import Tensor
from typing_extensions import override

from danlu.layers.norms import RMSNorm
from danlu.mixers.linear import LinearAttention
from danlu.mixers.softmax import size_of_head


class NormAttention(LinearAttention):
    """Linear attention with a norm in the place of the divisor; the same arguments."""

    def __init__(self, dim: int, *, heads: int = 8, **options: Any) -> None:
        super().__init__(dim, heads=heads, **options)
        self.divides = False
        self.norm = RMSNorm(size_of_head(dim, heads))

    @override
    def finished(self, y: Tensor) -> Tensor:
        return self.norm(y)
