r"""Squared distance: every score loses $c\,(m - n)^2$, $c$ a constant.

After the softmax each query sees its neighbours through a Gaussian window of variance $1/2c$
around itself, whatever they hold; the score depends on the distance of the positions alone.

Source: the Gaussian windows of arXiv:1812.02014, with a width that is not learned.
"""

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.positions.base import KeyPositions, PositionEncoding, Positions, differences

CURVATURE = 0.01


class ToyPosition(PositionEncoding):
    """Takes the squared distance, times a constant, from the scores."""

    hooks = frozenset({"bias"})
    relative = True

    @override
    def bias(
        self, q: Tensor, k: Tensor, q_positions: Positions, k_positions: KeyPositions
    ) -> Float[Tensor, "#batch #heads length keys"]:
        return -CURVATURE * differences(q_positions, k_positions)[:, None].to(q.dtype).square()
