r"""What a layer remembers of the last few tokens: a sequence with those that came before it.

`extended` puts the last $w$ tokens of the past in front; `ShortConvolution` reads them with one
filter for each channel, $y_t = b + \sum_{i=0}^{w-1} F_i \odot x_{t-w+1+i}$. Padding stands on the
right and is not remembered.

Sources: arXiv:2312.00752 §3.4 (the convolution); arXiv:2305.13048 §3.1 (the token before).
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def extended(
    x: Float[Tensor, "batch length channels"],
    before: Float[Tensor, "batch past channels"] | None,
    lengths: Int[Tensor, " batch"] | None,
    past: int,
) -> tuple[Float[Tensor, "batch longer channels"], Float[Tensor, "batch past channels"]]:
    """The sequence behind its last `past` tokens, and the last tokens of both.

    Args:
        x: tokens, padded on the right.
        before: the tokens before, zeros where there were none.
        lengths: tokens of each row that are not padding; None is all.
        past: how many are remembered.
    """
    if before is None:
        before = x.new_zeros(len(x), past, x.shape[-1])
    longer = torch.cat([before.to(x.dtype), x], dim=1)
    if lengths is None:
        return longer, longer[:, x.shape[1] :]
    last = lengths[:, None] + torch.arange(past, device=x.device)
    return longer, torch.take_along_dim(longer, last[..., None], dim=1)


class ShortConvolution(nn.Module):
    """A causal filter of `width` tokens for each channel."""

    def __init__(self, channels: int, width: int = 4, *, bias: bool = True) -> None:
        super().__init__()
        bound = 1 / math.sqrt(width)
        self.weight = nn.Parameter(torch.empty(channels, width).uniform_(-bound, bound))
        start = torch.empty(channels).uniform_(-bound, bound) if bias else None
        self.bias = nn.Parameter(start) if start is not None else None

    def forward(
        self,
        x: Float[Tensor, "batch length channels"],
        before: Float[Tensor, "batch past channels"] | None = None,
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> tuple[Float[Tensor, "batch length channels"], Float[Tensor, "batch past channels"]]:
        """The filtered tokens, and the tokens to remember."""
        length, width = x.shape[1], self.weight.shape[1]
        longer, last = extended(x, before, lengths, width - 1)
        y = longer[:, :length] * self.weight[:, 0]
        for index in range(1, width):
            y = torch.addcmul(y, longer[:, index : index + length], self.weight[:, index])
        return (y if self.bias is None else y + self.bias), last
