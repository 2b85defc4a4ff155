r"""Zero-padding convolution: the border of a sequence tells its tokens where they are.

$x + \mathrm{conv}(x)$ with a depthwise convolution over the tokens whose surroundings are zeros. It
moves with its input, but for the zeros: what a token receives depends on its distance from either
end as far as the kernel reaches, and a stack of such layers spreads this inwards. A circular
padding would tell nothing.

Both sides are seen, so causal layers refuse it. Use it in encoders whose input length varies.

Sources: arXiv:2001.08248 (zero padding gives position away); arXiv:2102.10882;
kexue.fm/archives/8130.
"""

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext
from danlu.layers.alignment import zeroed
from danlu.positions.base import PositionEncoding


class ZeroPaddedConvolution(PositionEncoding):
    """Adds a depthwise convolution of `kernel` tokens, an odd number."""

    hooks = frozenset({"embed"})
    sees_future = True

    def __init__(self, dim: int, *, kernel: int = 3) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise DanluError(f"The kernel has a middle, so its size is odd, got {kernel}.")
        self.convolution = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim)

    @override
    def embed(
        self, x: Float[Tensor, "batch length width"], context: SequenceContext
    ) -> Float[Tensor, "batch length dim"]:
        if not x.shape[1]:
            return x
        clean = x if context.valid is None else zeroed(x, context.valid)
        return x + self.convolution(clean.transpose(1, 2)).transpose(1, 2)
