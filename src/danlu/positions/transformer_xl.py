r"""Transformer-XL's relative positions: queries meet projected sinusoids of the distance.

$s_{ij} = ((q_i + u)^\top k_j + (q_i + v)^\top W r_{i-j}) / \sqrt d$ with trained $u$, $v$ for each
head and $r$ the sinusoidal encoding, as wide as all heads together. Since $\sin$ and $\cos$ of a
difference are products of those of its terms, $W^\top(q_i + v)$ is turned by position $i$ and meets
the encoding of $j$: no table of distances and no shifting trick, and positions may be floats.

Use it for long texts read in segments with memory of the last one.

Sources: arXiv:1901.02860 §3.3; arXiv:1906.08237 (XLNet).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.optim.parameters import Rule, without_decay
from danlu.positions.base import KeyPositions, PositionEncoding, Positions
from danlu.positions.frequencies import geometric
from danlu.positions.sinusoidal import sinusoids


class TransformerXL(PositionEncoding):
    """Content and position biases for `heads` heads of size `dim`; all together an even number."""

    hooks = frozenset({"bias"})
    relative = True

    def __init__(self, heads: int, dim: int) -> None:
        super().__init__()
        width = heads * dim
        if width % 2:
            raise DanluError(f"TransformerXL needs an even width, got {heads} heads of {dim}.")
        self.frequencies = geometric(width)
        self.content = nn.Parameter(torch.zeros(heads, dim))
        self.place = nn.Parameter(torch.zeros(heads, dim))
        self.project = nn.Parameter(torch.randn(heads, dim, width) / math.sqrt(width))

    def parameter_rules(self) -> dict[str, Rule]:
        """Two biases of each head."""
        return without_decay("content", "place")

    @override
    def bias(
        self, q: Tensor, k: Tensor, q_positions: Positions, k_positions: KeyPositions
    ) -> Float[Tensor, "#batch heads length keys"]:
        content = self.content.to(q.dtype)[None, :, None] @ k.transpose(-2, -1)
        met = (q + self.place.to(q.dtype)[:, None]) @ self.project.to(q.dtype)
        of_query = sinusoids(q_positions, self.frequencies, q.dtype)[:, None]
        of_key = sinusoids(k_positions, self.frequencies, q.dtype)[:, None]
        on_sin, on_cos = met[..., 0::2], met[..., 1::2]
        sin, cos = of_query[..., 0::2], of_query[..., 1::2]
        # sin(i - j) = sin i cos j - cos i sin j; cos(i - j) = cos i cos j + sin i sin j.
        with_sin, with_cos = on_cos * sin - on_sin * cos, on_sin * sin + on_cos * cos
        turned = torch.stack([with_sin, with_cos], dim=-1).flatten(-2)
        return (content + turned @ of_key.transpose(-2, -1)) * self.score_scale(q.shape[-1])
