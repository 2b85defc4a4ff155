r"""Shaw's relative positions: learned vectors of clipped distances join keys and values.

$s_{ij} = q_i^\top (k_j + R^K_{c(j-i)}) / \sqrt d$ and $o_i = \sum_j a_{ij} (v_j + R^V_{c(j-i)})$,
where $c$ clips to $[-p, p]$. Without the value side it would be another method.

Use it for short relations, as in music or small graphs; T5's buckets are the cheaper heir.

Sources: arXiv:1803.02155 eq. 3-5; kexue.fm/archives/8130.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from danlu.layers.precision import wide, widened
from danlu.optim.parameters import Rule, without_decay
from danlu.positions.base import KeyPositions, PositionEncoding, Positions, differences
from danlu.positions.learned import SPREAD


class Shaw(PositionEncoding):
    """Vectors for distances up to `farthest`, shared by heads of size `dim`."""

    hooks = frozenset({"bias", "values"})
    relative = True

    def __init__(self, dim: int, *, farthest: int = 16) -> None:
        super().__init__()
        self.farthest = farthest
        self.keys = nn.Parameter(SPREAD * torch.randn(2 * farthest + 1, dim))
        self.read = nn.Parameter(SPREAD * torch.randn(2 * farthest + 1, dim))

    def parameter_rules(self) -> dict[str, Rule]:
        """Tables of vectors, as embeddings are."""
        return without_decay("keys", "read")

    @override
    def bias(
        self, q: Tensor, k: Tensor, q_positions: Positions, k_positions: KeyPositions
    ) -> Float[Tensor, "#batch heads length keys"]:
        # Every query meets every distance once, then each key picks its own.
        # Wide, as many keys share a far distance: half precision could not add up their slopes.
        scores = widened(q @ self.keys.to(q.dtype).T) * self.score_scale(q.shape[-1])
        row = self._row(q_positions, k_positions)[:, None]
        return scores.gather(-1, row.expand(-1, q.shape[1], -1, -1))

    @override
    def values(
        self,
        weights: Float[Tensor, "batch heads length keys"],
        q_positions: Positions,
        k_positions: KeyPositions,
    ) -> Float[Tensor, "batch heads length values"]:
        row = self._row(q_positions, k_positions)[:, None].expand_as(weights)
        size = (*weights.shape[:-1], len(self.read))
        by_distance = weights.new_zeros(size, dtype=wide(weights))
        by_distance = by_distance.scatter_add(-1, row, widened(weights)).to(weights.dtype)
        return by_distance @ self.read.to(weights.dtype)

    def _row(
        self, q_positions: Positions, k_positions: KeyPositions
    ) -> Int[Tensor, "batch length keys"]:
        distance = differences(q_positions, k_positions).clamp(-self.farthest, self.farthest)
        return (distance + self.farthest).long()
