r"""Llama 3's scaling: pairs that turn four times in training are kept, slow ones interpolated.

With $r_i = L \theta_i / 2\pi$ turns in the length $L$ of training and
$\gamma(r) = \min(1, \max(0, (r - 1) / (4 - 1)))$, the frequencies become
$(1 - \gamma(r_i))\, \theta_i / s + \gamma(r_i)\, \theta_i$; scores are not sharpened.

Use it for weights of Llama 3.1 and later, whose $L$ is 8192, $s$ 8 (32 in the small ones of 3.2)
and base 500,000.

Sources: arXiv:2407.21783 (the models); the formula is that of their published code, transformers'
`llama3`.
"""

from danlu.positions.frequencies import by_turns, geometric
from danlu.positions.rotary import Layout, Rotary

SLOW, FAST = 1.0, 4.0
"""Turns up to which a pair is interpolated, and from which it is kept."""


class Llama3Rotary(Rotary):
    """Rotary encoding for `factor` times the `length` of training."""

    def __init__(
        self,
        dim: int,
        *,
        factor: float = 8.0,
        length: int = 8192,
        base: float = 500_000.0,
        layout: Layout = "half",
        rotated: int | None = None,
    ) -> None:
        theta = geometric(dim if rotated is None else rotated, base)
        frequencies = tuple(by_turns(t, factor, length, slow=SLOW, fast=FAST) for t in theta)
        super().__init__(dim, layout=layout, rotated=rotated, frequencies=frequencies)
