r"""The simpler linear recurrent unit: the LRU with real decays and real projections.

$h_t = \lambda \odot h_{t-1} + \gamma \odot B x_t$, $y_t = C h_t + D \odot x_t$ with
$\lambda = \exp(-e^{\nu})$ in $(0, 1)$ and $\gamma = \sqrt{1 - \lambda^2}$ at first: no angle, hence
no state that oscillates, and half the numbers.

Use it beside the LRU to see what complex decays are worth; on text they were worth little.

Sources: kexue.fm/archives/9554 (the real variant); arXiv:2303.06349.
"""

from torch import nn
from typing_extensions import override

from danlu.mixers.lru import LRU


class SLRU(LRU):
    """The linear recurrent unit over the real numbers.

    Args:
        dim: width of a token.
        states: number of real numbers in the state; `dim` unless given.
        radii: the range of decays at first.
    """

    part = 1

    def __init__(
        self,
        dim: int,
        *,
        states: int | None = None,
        radii: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        super().__init__(dim, states=states, radii=radii)

    @override
    def _angles(self, largest: float) -> nn.Parameter | None:
        return None
