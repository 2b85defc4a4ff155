r"""T5's encoding: a learned number for each head and each range of distances, added to scores.

$s_{ij} = q_i^\top k_j + \beta_{h, f(j-i)}$, without $1/\sqrt d$. Of $B$ buckets (half of them for
each direction, unless causal), the first half holds one distance each; the rest grow
logarithmically up to the largest distance, beyond which all share the last one.

Use it where a learned fall with distance is wanted and few parameters.

Sources: arXiv:1910.10683 §2.1.
"""

import math

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn
from torch.nn.functional import embedding
from typing_extensions import override

from danlu.layers.precision import widened
from danlu.positions.base import KeyPositions, PositionEncoding, Positions, differences


class T5(PositionEncoding):
    """Adds a learned bias by bucket of distance, for `heads` heads."""

    hooks = frozenset({"bias", "score_scale"})
    relative = True

    def __init__(
        self, heads: int, *, buckets: int = 32, farthest: int = 128, causal: bool = True
    ) -> None:
        super().__init__()
        self.table = nn.Embedding(buckets, heads)
        self.buckets, self.farthest, self.causal = buckets, farthest, causal

    @override
    def bias(
        self, q: Tensor, k: Tensor, q_positions: Positions, k_positions: KeyPositions
    ) -> Float[Tensor, "#batch heads length keys"]:
        relative = differences(q_positions, k_positions)
        found = bucket(relative, self.buckets, self.farthest, causal=self.causal)
        # Wide: half precision could not add up the slopes of all pairs of a bucket.
        return embedding(found, widened(self.table.weight)).permute(0, 3, 1, 2)

    @override
    def score_scale(self, dim: int) -> float:
        return 1.0


def bucket(
    relative: Num[Tensor, "*shape"], buckets: int, farthest: int, *, causal: bool
) -> Int[Tensor, "*shape"]:
    """The bucket of key position minus query position; a causal model sees no future."""
    offset = torch.zeros_like(relative, dtype=torch.long)
    if causal:
        distance = (-relative).clamp(min=0)
    else:
        buckets //= 2
        offset = (relative > 0).long() * buckets
        distance = relative.abs()
    exact = buckets // 2
    # float32 decides at the edges as the published models do.
    ratio = (distance.float().clamp(min=1) / exact).log() / math.log(farthest / exact)
    large = (exact + (ratio * (buckets - exact)).long()).clamp(max=buckets - 1)
    return offset + torch.where(distance < exact, distance.long(), large)
