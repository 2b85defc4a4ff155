r"""ALiBi: a penalty on scores that is linear in distance, with a slope for each head.

$b_{ij} = -m_h |i - j|$ with slopes $m_h = 2^{-8h/H}$, $h = 1 \ldots H$, for a power of two; for
other numbers of heads, those of the power below and every second one of the power above.

Use it for models that must read longer sequences than they were trained on.

Sources: arXiv:2108.12409 §3.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.positions.base import KeyPositions, PositionEncoding, Positions, differences


class ALiBi(PositionEncoding):
    """Takes slope times distance from the scores of each of `heads` heads."""

    hooks = frozenset({"bias"})
    relative = True

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.slopes = slopes(heads)

    @override
    def bias(
        self, q: Tensor, k: Tensor, q_positions: Positions, k_positions: KeyPositions
    ) -> Float[Tensor, "#batch heads length keys"]:
        slope = torch.tensor(self.slopes, dtype=q.dtype, device=q.device)
        distance = differences(q_positions, k_positions).abs().to(q.dtype)
        return -slope[:, None, None] * distance[:, None]


def slopes(heads: int) -> list[float]:
    """The slope of each head."""
    below = 2 ** int(math.log2(heads))
    first = [2 ** (-8 * head / below) for head in range(1, below + 1)]
    more = [2 ** (-4 * head / below) for head in range(1, 2 * below + 1, 2)]
    return first + more[: heads - below]
