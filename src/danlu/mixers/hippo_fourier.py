r"""HiPPO with Fourier functions: the last tokens of each feature as waves.

The window of $w$ tokens is written in $1, \sqrt2 \cos 2\pi n x, \sqrt2 \sin 2\pi n x$. The system
$\dot c = \frac1w (A c + B f)$ turns each pair of waves and replaces the value that leaves the
window by the one that enters; as complex numbers, $A = 2\pi i n - 1$ on the diagonal and $-1$
elsewhere.

Use it for signals with a period; a jump between the ends of the window costs accuracy.

Sources: kexue.fm/archives/10114; arXiv:2206.12037 (S4-FouT).
"""

from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.layers.hippo import fourier, fourier_system
from danlu.mixers.polynomial_memory import WindowMemory


class HippoFourier(WindowMemory):
    """A window in waves.

    Args:
        dim: width of a token.
        states: an odd number of coefficients for each feature, the mean and pairs of waves.
        window: number of tokens that are remembered.
    """

    def __init__(self, dim: int, *, states: int = 15, window: float = 64.0) -> None:
        if not states % 2:
            raise DanluError(
                f"A mean and pairs of waves are an odd number of states, not {states}."
            )
        super().__init__(dim, fourier_system(states), window=window)

    @override
    def basis(self, points: Tensor) -> Tensor:
        return fourier(points, self.states)
