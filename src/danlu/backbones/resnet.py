r"""Residual network on images at one resolution, conditioned on a feature vector.

The image is folded by `patch` (space to depth), so that a few blocks see all of it, goes through
a stack of residual blocks, and is unfolded. The last convolution starts at zero.

Sources: arXiv:1512.03385.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle, silu

from danlu.layers.convolution import ResidualBlock


class ResNet(nn.Module):
    """Maps `[batch, channels, height, width]` and features to `outputs` channels."""

    def __init__(
        self,
        channels: int,
        outputs: int,
        *,
        width: int = 64,
        depth: int = 1,
        patch: int = 1,
        features: int = 32,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.enter = nn.Conv2d(channels * patch**2, width, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(width, width, features) for _ in range(depth))
        self.leave = nn.Conv2d(width, outputs * patch**2, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        features: Float[Tensor, "batch features"],
    ) -> Float[Tensor, "batch outputs height width"]:
        """An image of the same size."""
        h = self.enter(pixel_unshuffle(x, self.patch))
        for block in self.blocks:
            h = block(h, features)
        return pixel_shuffle(self.leave(silu(h)), self.patch)
