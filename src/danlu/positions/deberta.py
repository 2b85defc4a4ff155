r"""DeBERTa: content meets relative position both ways, and positions never meet one another.

$s_{ij} = (q_i^\top k_j + q_i^\top K_{\delta(i,j)} + k_j^\top Q_{\delta(j,i)}) / \sqrt{3d}$ with
$\delta(i, j)$ the distance $i - j$ clipped to $[-p, p - 1]$, and $K$, $Q$ maps of one table of
distances. The table may be shared by layers with the instance. Absolute positions are not part of
it: the published model adds them in its last layers.

Use it in encoders that must tell word order from word meaning.

Sources: arXiv:2006.03654 eq. 2-4.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.positions.base import KeyPositions, PositionEncoding, Positions, differences
from danlu.positions.learned import SPREAD


class DeBERTa(PositionEncoding):
    """Distances up to `farthest` for `heads` heads of size `dim`."""

    hooks = frozenset({"bias", "score_scale"})
    relative = True

    def __init__(self, heads: int, dim: int, *, farthest: int = 512) -> None:
        super().__init__()
        self.heads, self.farthest = heads, farthest
        self.table = nn.Parameter(SPREAD * torch.randn(2 * farthest, heads * dim))
        self.key = nn.Linear(heads * dim, heads * dim, bias=False)
        self.query = nn.Linear(heads * dim, heads * dim)

    @override
    def score_scale(self, dim: int) -> float:
        return 1 / math.sqrt(3 * dim)

    @override
    def bias(
        self, q: Tensor, k: Tensor, q_positions: Positions, k_positions: KeyPositions
    ) -> Float[Tensor, "#batch heads length keys"]:
        keys, queries = (
            to(self.table).unflatten(-1, (self.heads, -1)).transpose(0, 1).to(q.dtype)
            for to in (self.key, self.query)
        )
        behind = -differences(q_positions, k_positions)  # i - j
        row = self._row(behind)[:, None].expand(-1, self.heads, -1, -1)
        to_place = (q @ keys.transpose(-2, -1)).gather(-1, row)
        back = self._row(-behind).transpose(1, 2)[:, None].expand(-1, self.heads, -1, -1)
        from_place = (k @ queries.transpose(-2, -1)).gather(-1, back).transpose(-2, -1)
        return (to_place + from_place) * self.score_scale(q.shape[-1])

    def _row(self, distance: Tensor) -> Tensor:
        return (distance.clamp(-self.farthest, self.farthest - 1) + self.farthest).long()
