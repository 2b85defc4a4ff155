r"""Multiplicative encoding: the input is scaled by a vector for each position.

$x_n \odot (1 + P_n)$ with a table $P$ drawn from $\mathcal N(0, 0.02^2)$, so that the factors begin
near 1. A word at another place is stretched, not moved; a zero stays zero.

Use it as an alternative to added tables in trials; it has no rows beyond its table.

Sources: kexue.fm/archives/8130 §"multiplicative"; arXiv:1705.03122 (the added form).
"""

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import SequenceContext
from danlu.positions.learned import Learned


class Multiplicative(Learned):
    """Scales by one plus a row of a trained table of `length` positions."""

    @override
    def embed(
        self, x: Float[Tensor, "batch length width"], context: SequenceContext
    ) -> Float[Tensor, "batch length dim"]:
        return x * (1 + self.rows(context))
