r"""Straight-through: the value of a hard choice with the gradient of what it was chosen for.

$y = \operatorname{sg}(h) + s - \operatorname{sg}(s)$ has the value of the hard $h$, bit for bit,
and $\partial y / \partial s = 1$: the choice, which has no gradient, is passed over as if it were
the identity. The gradient is biased; it is small where $h$ and $s$ are close.

Sources: arXiv:1308.3432 §4 (straight-through estimator); arXiv:1711.00937 §3.2 (quantisation).
"""

from jaxtyping import Float
from torch import Tensor


def straight_through(
    hard: Float[Tensor, "*shape"], soft: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """The value of `hard` with the gradient of `soft`."""
    # soft - soft is 0 exactly, so the value is not rounded as in soft + (hard - soft).
    return hard.detach() + (soft - soft.detach())
