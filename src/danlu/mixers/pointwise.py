r"""A network on single tokens as a layer of a stack: $y_t = f(x_t)$.

A block of a transformer is a list of mixers; its feed-forward part is one that mixes nothing. It
remembers nothing but the position.

Use it for the feed-forward part of a block, gated (SwiGLU) unless told otherwise.

Sources: arXiv:1706.03762 §3.3; arXiv:2002.05202.
"""

from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import SequenceContext, State
from danlu.layers.feed_forward import GatedMLP
from danlu.mixers.base import Mixer


class Pointwise(Mixer):
    """Applies `network`, by default a gated MLP, to each token."""

    forms = ("parallel",)
    unpadded = True
    companion = None

    def __init__(self, dim: int, network: nn.Module | None = None) -> None:
        super().__init__(dim)
        self.network = GatedMLP(dim) if network is None else network

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        return self.network(x), {}
