r"""HiPPO-LegT: the last tokens of each feature as coefficients of Legendre polynomials.

$\dot c = \frac1w (A c + B f)$ keeps $c_n = \frac1w \int_{t-w}^{t} f(s)\,\varphi_n\,ds$ of a window
of $w$ tokens, the value that leaves the window being that of the polynomial itself. One step is the
exact solution for a token that is held.

Use it for a memory with a fixed time scale; the Legendre memory unit is the same system.

Sources: arXiv:2008.07669 appendix D.1; A. Voelker et al., Legendre memory units (2019).
"""

from torch import Tensor
from typing_extensions import override

from danlu.layers.hippo import legt_system, orthonormal
from danlu.mixers.polynomial_memory import WindowMemory


class HippoLegT(WindowMemory):
    """A window in Legendre polynomials.

    Args:
        dim: width of a token.
        states: coefficients for each feature.
        window: number of tokens that are remembered.
    """

    def __init__(self, dim: int, *, states: int = 16, window: float = 64.0) -> None:
        super().__init__(dim, legt_system(states), window=window)

    @override
    def basis(self, points: Tensor) -> Tensor:
        return orthonormal(points, self.states)
