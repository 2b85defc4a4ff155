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
    """Rotary encoding for `factor` times the length of training; `dim` is at least 4."""

    def __init__(
        self, dim: int, *, factor: float, base: float = 10_000.0, layout: Layout = "half"
    ) -> None:
        if dim < 4:
            raise DanluError(f"NTK scaling needs two pairs to tell apart, got a head of {dim}.")
        stretched = geometric(dim, base * factor ** (dim / (dim - 2)))
        super().__init__(dim, layout=layout, frequencies=stretched)
