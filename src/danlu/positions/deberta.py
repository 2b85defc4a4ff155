r"""DeBERTa: content meets relative position both ways, and positions never meet one another.

$s_{ij} = (q_i^\top k_j + q_i^\top K_{\delta(i,j)} + k_j^\top Q_{\delta(i,j)}) / \sqrt{3d}$ with
$\delta(i, j)$ the distance $i - j$ clipped to $[-p, p - 1]$, and $K$, $Q$ maps of one table of
distances. The published code and weights have $\delta(i, j)$ in the third term too; the paper
writes $\delta(j, i)$ there, which is `deberta-paper` and reads published weights wrongly. The table
may be shared by layers with the instance. Absolute positions are not part of it: the published
model adds them in its last layers.

Use it in encoders that must tell word order from word meaning.

Sources: arXiv:2006.03654 eq. 2-4 and its published code.
"""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import unknown
from danlu.layers.precision import widened
from danlu.optim.parameters import Rule, without_decay
from danlu.positions.base import KeyPositions, PositionEncoding, Positions, differences
from danlu.positions.learned import SPREAD

Back = Literal["published", "paper"]
"""The distance from place to content: i - j, or j - i."""


class DeBERTa(PositionEncoding):
    """Distances up to `farthest` for `heads` heads of size `dim`; `back` as published weights."""

    hooks = frozenset({"bias", "score_scale"})
    relative = True

    def __init__(
        self, heads: int, dim: int, *, farthest: int = 512, back: Back = "published"
    ) -> None:
        super().__init__()
        if back not in get_args(Back):
            raise unknown("distance back", back, get_args(Back))
        self.heads, self.farthest, self.back = heads, farthest, back
        self.table = nn.Parameter(SPREAD * torch.randn(2 * self.span, heads * dim))
        self.key = nn.Linear(heads * dim, heads * dim, bias=False)
        self.query = nn.Linear(heads * dim, heads * dim)

    def parameter_rules(self) -> dict[str, Rule]:
        """A table of vectors, as embeddings are."""
        return without_decay("table")

    @property
    def span(self) -> int:
        """Rows of the table for each direction."""
        return self.farthest

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
        # Wide, as many pairs share a row: half precision could not add up their slopes.
        to_place = widened(q @ keys.transpose(-2, -1)).gather(-1, row)
        if self.back == "paper":
            row = self._row(-behind)[:, None].expand_as(row)
        back = row.transpose(2, 3)
        from_place = widened(k @ queries.transpose(-2, -1)).gather(-1, back).transpose(-2, -1)
        return (to_place + from_place) * self.score_scale(q.shape[-1])

    def _row(self, distance: Tensor) -> Tensor:
        return self.bucket(distance).clamp(-self.span, self.span - 1).long() + self.span

    def bucket(self, distance: Tensor) -> Tensor:
        """Which distances share a row of the table, before it is clipped."""
        return distance
