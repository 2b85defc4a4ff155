r"""Convolutional pyramids between an image and a vector or a coarse map, any image size.

`ConvEncoder` halves the map until its shorter side is at most 7, then maps it to a vector;
`ConvDecoder` goes back through the same sizes. `MapEncoder` and `MapDecoder` are the same with
the coarsest map itself in place of the vector. Large images are first folded (space to depth),
so that the widest maps are small. Blocks come from a factory `block(channels, out, features)`:
`ResidualBlock` normalises and is modulated by features; `PlainBlock` has no norm and ignores
them, as a critic under a gradient penalty wants.

Sources: arXiv:1512.03385; arXiv:1704.00028 §4 (no batch norm in a penalised critic).
"""

from collections.abc import Callable
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pixel_shuffle, pixel_unshuffle, silu

from danlu.layers.convolution import ResidualBlock, groups

Shape = tuple[int, ...]
BlockFactory = Callable[[int, int, int], nn.Module]

COARSEST = 7
"""Longest short side of the smallest map."""
FOLD_FROM = 24
"""Shortest side from which an even-sized image is folded by 2."""


class PlainBlock(nn.Module):
    r"""$W_s h + W_2\,\phi(W_1\,\phi(h))$ with $\phi$ the leaky ReLU; the branch starts small."""

    def __init__(self, channels: int, out_channels: int, features: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        same = channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(channels, out_channels, 1)
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        features: Float[Tensor, "batch features"] | None = None,
    ) -> Float[Tensor, "batch out_channels height width"]:
        """The block's output at the same resolution; features are ignored."""
        h = self.first(leaky_relu(x, 0.2))
        return self.skip(x) + self.second(leaky_relu(h, 0.2))


class _Shrinking(nn.Module):
    """An image to its coarsest map; what reads the map comes from the subclass."""

    def __init__(self, shape: Shape, *, width: int, features: int, block: BlockFactory) -> None:
        super().__init__()
        self.patch, _, widths = pyramid(shape, width)
        self.enter = nn.Conv2d(shape[0] * self.patch**2, widths[0], 3, padding=1)
        pairs = zip([widths[0], *widths], widths, strict=False)
        self.blocks = nn.ModuleList(block(before, wide, features) for before, wide in pairs)
        self.shrink = nn.ModuleList(
            nn.Conv2d(wide, wide, 3, stride=2, padding=1) for wide in widths[:-1]
        )

    def shrunk(self, x: Tensor, features: Tensor | None) -> Tensor:
        """The coarsest map, `[batch, channels, height, width]`."""
        h = self.enter(pixel_unshuffle(x, self.patch))
        for level, block in enumerate(self.blocks):
            h = block(h, features)
            if level < len(self.shrink):
                h = self.shrink[level](h)
        return leaky_relu(h, 0.2)


class ConvEncoder(_Shrinking):
    """Image and features to a vector of `outputs` numbers."""

    def __init__(
        self,
        shape: Shape,
        outputs: int,
        *,
        width: int = 64,
        features: int = 0,
        block: BlockFactory = ResidualBlock,
    ) -> None:
        super().__init__(shape, width=width, features=features, block=block)
        self.leave = nn.Linear(prod(coarsest(shape, width)), outputs)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        features: Float[Tensor, "batch features"] | None = None,
    ) -> Float[Tensor, "batch outputs"]:
        """The vector of each image."""
        return self.leave(self.shrunk(x, features).flatten(1))


class MapEncoder(_Shrinking):
    """Image and features to a map of `outputs` channels, as coarse as the pyramid goes."""

    def __init__(
        self,
        shape: Shape,
        outputs: int,
        *,
        width: int = 64,
        features: int = 0,
        block: BlockFactory = ResidualBlock,
    ) -> None:
        super().__init__(shape, width=width, features=features, block=block)
        self.leave = nn.Conv2d(coarsest(shape, width)[0], outputs, 1)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        features: Float[Tensor, "batch features"] | None = None,
    ) -> Float[Tensor, "batch outputs rows columns"]:
        """The map of each image."""
        return self.leave(self.shrunk(x, features))


class _Growing(nn.Module):
    """The coarsest map to an image; `enter`, which makes the map, comes from the subclass."""

    def __init__(
        self, enter: nn.Module, shape: Shape, *, width: int, features: int, block: BlockFactory
    ) -> None:
        super().__init__()
        self.patch, sizes, widths = pyramid(shape, width)
        self.sizes = sizes[::-1]
        widths = widths[::-1]
        self.enter = enter
        pairs = zip([widths[0], *widths], widths, strict=False)
        self.blocks = nn.ModuleList(block(before, wide, features) for before, wide in pairs)
        self.norm = nn.GroupNorm(groups(widths[-1]), widths[-1])
        self.leave = nn.Conv2d(widths[-1], shape[0] * self.patch**2, 3, padding=1)

    def grown(self, h: Tensor, features: Tensor | None) -> Tensor:
        """The image of a coarsest map."""
        for size, block in zip(self.sizes, self.blocks, strict=True):
            # The first size is the map's own: nothing is resized there.
            h = h if tuple(h.shape[-2:]) == size else interpolate(h, size=size)
            h = block(h, features)
        return pixel_shuffle(self.leave(silu(self.norm(h))), self.patch)


class ConvDecoder(_Growing):
    """Vector of `inputs` numbers and features to an image."""

    def __init__(
        self,
        inputs: int,
        shape: Shape,
        *,
        width: int = 64,
        features: int = 0,
        block: BlockFactory = ResidualBlock,
    ) -> None:
        enter = nn.Linear(inputs, prod(coarsest(shape, width)))
        super().__init__(enter, shape, width=width, features=features, block=block)

    def forward(
        self,
        z: Float[Tensor, "batch inputs"],
        features: Float[Tensor, "batch features"] | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """The image of each vector."""
        return self.grown(self.enter(z).unflatten(1, (-1, *self.sizes[0])), features)


class MapDecoder(_Growing):
    """Map of `inputs` channels, as coarse as the pyramid goes, and features to an image."""

    def __init__(
        self,
        inputs: int,
        shape: Shape,
        *,
        width: int = 64,
        features: int = 0,
        block: BlockFactory = ResidualBlock,
    ) -> None:
        enter = nn.Conv2d(inputs, coarsest(shape, width)[0], 3, padding=1)
        super().__init__(enter, shape, width=width, features=features, block=block)

    def forward(
        self,
        z: Float[Tensor, "batch inputs rows columns"],
        features: Float[Tensor, "batch features"] | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """The image of each map."""
        return self.grown(self.enter(z), features)


def pyramid(shape: Shape, width: int) -> tuple[int, list[tuple[int, int]], list[int]]:
    """The fold of an image, the sizes of its maps from fine to coarse, and their channels."""
    _, height, wide = shape
    even = height % 2 == 0 and wide % 2 == 0
    patch = 2 if even and min(height, wide) >= FOLD_FROM else 1
    sizes = [(height // patch, wide // patch)]
    while min(sizes[-1]) > COARSEST:
        rows, columns = sizes[-1]
        sizes.append(((rows + 1) // 2, (columns + 1) // 2))
    return patch, sizes, [width * min(2**level, 4) for level in range(len(sizes))]


def coarsest(shape: Shape, width: int) -> tuple[int, int, int]:
    """Channels, rows and columns of an image's smallest map."""
    _, sizes, widths = pyramid(shape, width)
    return (widths[-1], *sizes[-1])
