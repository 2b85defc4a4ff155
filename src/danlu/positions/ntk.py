r"""NTK-aware scaling: the slow pairs of a rotary model are stretched, the fast ones kept.

The base becomes $b\, s^{d/(d-2)}$: the fastest frequency stays 1, the slowest is divided by $s$
exactly, and those between by $s^{2i/(d-2)}$. Neighbours stay apart and far angles stay small.

Use it to lengthen a trained rotary model without any training.

Sources: arXiv:2309.00071 §3.1 eq. 15-16; kexue.fm/archives/9675.
"""

from danlu.contracts import DanluError
from danlu.positions.frequencies import geometric
from danlu.positions.rotary import Layout, Rotary


class NTKRotary(Rotary):
    """Rotary encoding for `factor` times the length of training; four features turn at least."""

    def __init__(
        self,
        dim: int,
        *,
        factor: float,
        base: float = 10_000.0,
        layout: Layout = "half",
        rotated: int | None = None,
    ) -> None:
        turning = dim if rotated is None else rotated
        stretched = geometric(turning, base * factor ** stretch(turning))
        super().__init__(dim, layout=layout, rotated=rotated, frequencies=stretched)


def stretch(turning: int) -> float:
    """The power of the factor in the base, for so many features that turn.

    Raises:
        DanluError: there is one pair alone.
    """
    if turning < 4:
        raise DanluError(f"NTK scaling needs two pairs to tell apart, got {turning} features.")
    return turning / (turning - 2)
