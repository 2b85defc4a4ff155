r"""Rotary position encoding of queries, keys and values: what is read tells where it stood.

$o_i = \sum_j a_{ij} R_j v_j$ with the rotations $R$ of RoPE, by which $a_{ij}$ sees $j - i$ alone.
The weights stay relative; the output carries the absolute positions of what it reads, which
queries and keys alone cannot give.

Use it where a layer must know where it looks, and not only how far away.

Sources: kexue.fm/archives/8130; arXiv:2104.09864 eq. 15.
"""

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.positions.base import Positions
from danlu.positions.rotary import Rotary


class RotaryValues(Rotary):
    """Turns values as well; the same arguments as `Rotary`."""

    hooks = Rotary.hooks | {"carry"}
    relative = False

    @override
    def carry(
        self, v: Float[Tensor, "batch heads length dim"], positions: Positions
    ) -> Float[Tensor, "batch heads length dim"]:
        return self.turn(v, positions)
