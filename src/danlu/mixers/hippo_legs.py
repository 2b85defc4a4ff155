r"""HiPPO-LegS: the whole past of each feature as coefficients of Legendre polynomials.

$c_n(t) = \frac1t \int_0^t f(s)\,\sqrt{2n + 1}\,P_n(2s/t - 1)\,ds$, the best polynomial of degree
below $N$ in the mean square over all that was seen. For tokens that are held until the next one the
update from $k$ to $k + 1$ tokens is exact, no discretisation: the old polynomial is squeezed into a
share $k / (k + 1)$ of the interval, and the token adds its integral.

Use it as a memory without a time scale: a signal that runs twice as fast has the same coefficients.
`reconstruct` gives the remembered past.

Sources: arXiv:2008.07669 theorem 2 and proposition 3.
"""

import torch
from torch import Tensor
from typing_extensions import override

from danlu.layers.hippo import gauss, integral, orthonormal, rescaled
from danlu.mixers.polynomial_memory import PolynomialMemory


class HippoLegS(PolynomialMemory):
    """The whole past in Legendre polynomials.

    Args:
        dim: width of a token.
        states: coefficients for each feature.
    """

    nodes: Tensor
    weights: Tensor

    def __init__(self, dim: int, *, states: int = 16) -> None:
        super().__init__(dim, states=states)
        for name, part in zip(("nodes", "weights"), gauss(states), strict=True):
            self.register_buffer(name, part.to(torch.get_default_dtype()), persistent=False)

    @override
    def shares(self, times: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        seen = times.clamp(min=1)  # nothing was seen in padding before the first token
        ends, whole = times[:, None], seen[:, :, None]
        # A token of the future has its interval at the end, where it is empty.
        begin, end = ((edge.minimum(whole) / whole) for edge in (ends - 1, ends))
        added = integral(end, self.states) - integral(begin, self.states)
        return added, rescaled(start[:, None] / seen, self.nodes, self.weights)

    @override
    def basis(self, points: Tensor) -> Tensor:
        return orthonormal(points, self.states)
