r"""Convolutional pyramids between an image and a vector or a coarse map, any image size.

`ConvEncoder` halves the map until its shorter side is at most 7, then maps it to a vector;
`ConvDecoder` goes back through the same sizes. With `map_from` and `map_into` as their last and
first layer the coarsest map itself takes the place of the vector. Large images are first folded
(space to depth), so that the widest maps are small. Blocks come from a factory `block(channels,
out, features)`: `ResidualBlock` normalises and is modulated by features; `PlainBlock` has no norm
and ignores them, as a critic under a gradient penalty wants.

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


class _MapToVector(nn.Linear):
    """All numbers of a map to a vector."""

    def forward(
        self, x: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch outputs"]:
        """The vector of each map."""
        return super().forward(x.flatten(1))


class _VectorToMap(nn.Linear):
    """A vector to all numbers of a map."""

    def __init__(self, inputs: int, shape: Shape) -> None:
        super().__init__(inputs, prod(shape))
        self.shape = shape

    def forward(
        self, x: Float[Tensor, "batch inputs"]
    ) -> Float[Tensor, "batch channels rows columns"]:
        """The map of each vector."""
        return super().forward(x).unflatten(1, self.shape)


def map_to_vector(shape: Shape, outputs: int) -> nn.Module:
    """The last layer of an encoder to vectors."""
    return _MapToVector(prod(shape), outputs)


def vector_to_map(inputs: int, shape: Shape) -> nn.Module:
    """The first layer of a decoder of vectors."""
    return _VectorToMap(inputs, shape)


def map_from(shape: Shape, outputs: int) -> nn.Module:
    """The last layer of an encoder to maps, as coarse as the pyramid goes."""
    return nn.Conv2d(shape[0], outputs, 1)


def map_into(inputs: int, shape: Shape) -> nn.Module:
    """The first layer of a decoder of maps, as coarse as the pyramid goes."""
    return nn.Conv2d(inputs, shape[0], 3, padding=1)


class ConvEncoder(nn.Module):
    """Image and features to a vector of `outputs` numbers, or to a map of as many channels.

    Args:
        shape: of an image.
        outputs: numbers or channels.
        width: channels of the finest map.
        features: size of what modulates the blocks.
        block: makes a block.
        leave: makes the last layer, of the shape of the coarsest map and the outputs.
    """

    def __init__(
        self,
        shape: Shape,
        outputs: int,
        *,
        width: int = 64,
        features: int = 0,
        block: BlockFactory = ResidualBlock,
        leave: Callable[[Shape, int], nn.Module] = map_to_vector,
    ) -> None:
        super().__init__()
        self.patch, _, widths = pyramid(shape, width)
        self.enter = nn.Conv2d(shape[0] * self.patch**2, widths[0], 3, padding=1)
        pairs = zip([widths[0], *widths], widths, strict=False)
        self.blocks = nn.ModuleList(block(before, wide, features) for before, wide in pairs)
        self.shrink = nn.ModuleList(
            nn.Conv2d(wide, wide, 3, stride=2, padding=1) for wide in widths[:-1]
        )
        self.leave = leave(coarsest(shape, width), outputs)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        features: Float[Tensor, "batch features"] | None = None,
    ) -> Float[Tensor, "batch outputs ..."]:
        """The vector or the map of each image."""
        h = self.enter(pixel_unshuffle(x, self.patch))
        for level, block in enumerate(self.blocks):
            h = block(h, features)
            if level < len(self.shrink):
                h = self.shrink[level](h)
        return self.leave(leaky_relu(h, 0.2))


class ConvDecoder(nn.Module):
    """Vector of `inputs` numbers, or map of as many channels, and features to an image.

    Args:
        inputs: numbers or channels.
        shape: of an image.
        width: channels of the finest map.
        features: size of what modulates the blocks.
        block: makes a block.
        enter: makes the first layer, of the inputs and the shape of the coarsest map.
    """

    def __init__(
        self,
        inputs: int,
        shape: Shape,
        *,
        width: int = 64,
        features: int = 0,
        block: BlockFactory = ResidualBlock,
        enter: Callable[[int, Shape], nn.Module] = vector_to_map,
    ) -> None:
        super().__init__()
        self.patch, sizes, widths = pyramid(shape, width)
        self.sizes = sizes[::-1]
        widths = widths[::-1]
        self.enter = enter(inputs, coarsest(shape, width))
        pairs = zip([widths[0], *widths], widths, strict=False)
        self.blocks = nn.ModuleList(block(before, wide, features) for before, wide in pairs)
        self.norm = nn.GroupNorm(groups(widths[-1]), widths[-1])
        self.leave = nn.Conv2d(widths[-1], shape[0] * self.patch**2, 3, padding=1)

    def forward(
        self,
        z: Float[Tensor, "batch inputs ..."],
        features: Float[Tensor, "batch features"] | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """The image of each vector or map."""
        h = self.enter(z)
        for size, block in zip(self.sizes, self.blocks, strict=True):
            # The first size is the map's own: nothing is resized there.
            h = h if tuple(h.shape[-2:]) == size else interpolate(h, size=size)
            h = block(h, features)
        return pixel_shuffle(self.leave(silu(self.norm(h))), self.patch)


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
