r"""Position interpolation: a rotary model reads $s$ times its length at positions divided by $s$.

All frequencies become $\theta_i / s$, so that the largest angle stays what it was in training.
Close positions are harder to tell apart, which a short fine-tune repairs.

Use it to lengthen a trained rotary model where a fine-tune is possible.

Sources: arXiv:2306.15595 eq. 4.
"""

from danlu.positions.frequencies import geometric
from danlu.positions.rotary import Layout, Rotary


class InterpolatedRotary(Rotary):
    """Rotary encoding for `factor` times the length of training; see `Rotary` for the rest."""

    def __init__(
        self,
        dim: int,
        *,
        factor: float,
        base: float = 10_000.0,
        layout: Layout = "half",
        rotated: int | None = None,
    ) -> None:
        theta = geometric(dim if rotated is None else rotated, base)
        slower = tuple(each / factor for each in theta)
        super().__init__(dim, layout=layout, rotated=rotated, frequencies=slower)
