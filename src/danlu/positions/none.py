r"""No position encoding: order enters through causality alone, or not at all.

A causal layer can count what it sees, and so learn positions by itself; one that sees both sides
treats its input as a set, $f(Px) = P f(x)$ for a permutation $P$.

Use it with recurrent layers, with sets, or to measure what an encoding brings.

Sources: arXiv:2203.16634 (causal models without positions).
"""

from danlu.positions.base import PositionEncoding


class NoPosition(PositionEncoding):
    """Uses no hook."""

    relative = True
