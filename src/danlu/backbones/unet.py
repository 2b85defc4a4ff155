r"""U-Net: a convolutional pyramid with skip connections, conditioned on a feature vector.

Images are first folded by `patch` (space to depth), so that the widest maps are small: on a CPU
this buys far more quality per second than thin full-resolution layers. Each level has residual
blocks; the coarsest level also attends, to
itself and to the tokens of a memory where there is one.

Sources: arXiv:1505.04597, arXiv:2006.11239, arXiv:2105.05233.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, pixel_shuffle, pixel_unshuffle, silu

from danlu.contracts import Memory
from danlu.layers.convolution import ResidualBlock, SelfAttention2d, groups


class UNet(nn.Module):
    """Maps `[batch, channels, height, width]` and features to an image of the same size.

    Args:
        channels: of the image; of input and output where they differ.
        width: channels of the first level.
        multipliers: channels of each level over `width`; every further level halves the size.
        blocks: residual blocks of a level on the way down (one more on the way up).
        patch: side of the square folded into channels before the first level.
        features: size of the conditioning vector.
        attention: makes the layer of the coarsest level from its channels; it is given the memory
            too where there is one.
    """

    def __init__(
        self,
        channels: int | tuple[int, int],
        *,
        width: int = 64,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 1,
        patch: int = 1,
        features: int = 256,
        attention: Callable[[int], nn.Module] = SelfAttention2d,
    ) -> None:
        super().__init__()
        self.patch = patch
        given, made = (channels, channels) if isinstance(channels, int) else channels
        widths = [width * multiplier for multiplier in multipliers]
        self.enter = nn.Conv2d(given * patch**2, width, 3, padding=1)
        self.down = nn.ModuleList()
        self.shrink = nn.ModuleList()
        skips, current = [width], width
        for level, wide in enumerate(widths):
            stack = nn.ModuleList()
            for _ in range(blocks):
                stack.append(ResidualBlock(current, wide, features))
                current = wide
                skips.append(current)
            self.down.append(stack)
            if level + 1 < len(widths):
                self.shrink.append(nn.Conv2d(current, current, 3, stride=2, padding=1))
                skips.append(current)
        self.middle = ResidualBlock(current, current, features)
        self.attention = attention(current)
        self.up = nn.ModuleList()
        self.grow = nn.ModuleList()
        for level, wide in reversed(list(enumerate(widths))):
            stack = nn.ModuleList()
            for _ in range(blocks + 1):
                stack.append(ResidualBlock(current + skips.pop(), wide, features))
                current = wide
            self.up.append(stack)
            if level:
                self.grow.append(nn.Conv2d(current, current, 3, padding=1))
        self.norm = nn.GroupNorm(groups(current), current)
        self.leave = nn.Conv2d(current, made * patch**2, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        features: Float[Tensor, "batch features"],
        memory: Memory | None = None,
    ) -> Float[Tensor, "batch outputs height width"]:
        """The map's output, the size of the input."""
        features = silu(features)
        height, width = x.shape[-2:]
        # Sizes that the patch does not divide are continued at the border, and cut off again.
        x = pad(x, (0, -width % self.patch, 0, -height % self.patch), mode="replicate")
        h = self.enter(pixel_unshuffle(x, self.patch))
        skips = [h]
        for level, stack in enumerate(self.down):
            for block in stack.children():
                h = block(h, features)
                skips.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
                skips.append(h)
        h = self.middle(h, features)
        h = self.attention(h) if memory is None else self.attention(h, memory)
        for level, stack in enumerate(self.up):
            for block in stack.children():
                h = block(torch.cat([h, skips.pop()], dim=1), features)
            if level < len(self.grow):
                # The size comes from the skip, so odd sizes need no padding.
                h = self.grow[level](interpolate(h, size=skips[-1].shape[-2:]))
        y = pixel_shuffle(self.leave(silu(self.norm(h))), self.patch)
        return y[..., :height, :width]
