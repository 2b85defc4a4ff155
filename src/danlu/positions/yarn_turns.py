r"""YaRN as its paper writes it: the share of a pair that is kept rises with its turns.

With $r_i = L \theta_i / 2\pi$ turns in the length $L$ of training and
$\gamma(r) = \min(1, \max(0, (r - 1) / (32 - 1)))$, the frequencies become
$(1 - \gamma(r_i))\, \theta_i / s + \gamma(r_i)\, \theta_i$; what turns is multiplied by
$0.1 \ln s + 1$ in queries and keys.

Use `rope-yarn` for published weights: all public code has a ramp in the index of the pair instead,
and frequencies between the ends differ by up to two thirds.

Sources: arXiv:2309.00071 eq. 17-22.
"""

from danlu.positions.frequencies import by_turns, geometric
from danlu.positions.rotary import Layout, Rotary
from danlu.positions.yarn import FAST, SLOW, sharpness


class YaRNTurns(Rotary):
    """Rotary encoding for `factor` times the `length` of training."""

    def __init__(
        self,
        dim: int,
        *,
        factor: float,
        length: int,
        base: float = 10_000.0,
        layout: Layout = "half",
        rotated: int | None = None,
    ) -> None:
        theta = geometric(dim if rotated is None else rotated, base)
        super().__init__(
            dim,
            layout=layout,
            rotated=rotated,
            frequencies=tuple(by_turns(t, factor, length, slow=SLOW, fast=FAST) for t in theta),
            magnitude=sharpness(factor),
        )
