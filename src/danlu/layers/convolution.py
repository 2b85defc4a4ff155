"""Convolution blocks shared by the image networks."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from danlu.layers.attention import Derivatives, attend


def groups(channels: int) -> int:
    """Groups for group normalisation: at least 8 channels each, at most 32 groups."""
    for candidate in (32, 16, 8, 4, 2):
        if channels % candidate == 0 and channels // candidate >= 8:
            return candidate
    return 1


class ResidualBlock(nn.Module):
    r"""Two normalised 3x3 convolutions around a shift and scale by conditioning features.

    $h + W_2\,\mathrm{SiLU}((1 + s)\,\mathrm{GN}(W_1\,\mathrm{SiLU}(\mathrm{GN}(h))) + b)$ with
    $(s, b)$ linear in the features; the last convolution starts at zero.
    Sources: arXiv:2105.05233 (adaptive group normalisation).
    """

    def __init__(self, channels: int, out_channels: int, features: int) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(groups(channels), channels)
        self.conv_in = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.norm_out = nn.GroupNorm(groups(out_channels), out_channels, affine=False)
        self.modulate = nn.Linear(features, 2 * out_channels)
        self.conv_out = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        same = channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(channels, out_channels, 1)
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        features: Float[Tensor, "batch features"],
    ) -> Float[Tensor, "batch out_channels height width"]:
        """The block's output at the same resolution."""
        h = self.norm_out(self.conv_in(silu(self.norm_in(x))))
        scale, shift = self.modulate(features)[:, :, None, None].chunk(2, dim=1)
        h = self.conv_out(silu(torch.addcmul(shift, h, 1 + scale)))
        return self.skip(x) + h


class SelfAttention2d(nn.Module):
    """Residual multi-head self-attention over the positions of a feature map."""

    def __init__(
        self, channels: int, *, heads: int = 4, derivatives: Derivatives = "first"
    ) -> None:
        super().__init__()
        self.heads = heads
        self.derivatives: Derivatives = derivatives
        self.norm = nn.GroupNorm(groups(channels), channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """The attended map at the same resolution."""
        height, width = x.shape[-2:]
        qkv = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)  # [batch, positions, 3*channels]
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = attend(q, k, v, derivatives=self.derivatives).transpose(1, 2).flatten(2).transpose(1, 2)
        return x + self.out(y.unflatten(-1, (height, width)))
