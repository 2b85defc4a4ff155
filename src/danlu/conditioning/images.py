r"""Images as a grid of tokens by two strided convolutions, and as the mean of the tokens.

Each token knows its place. Before them stands a token of its own, which is there when no image is;
networks attend to all, and the vector is linear in the mean.

Sources: arXiv:2111.05826 §3 (a condition that is an image), arXiv:2207.12598 (the null condition).
"""

import torch
from torch import nn
from torch.nn.functional import silu
from typing_extensions import override

from danlu.conditioning.conditioner import Conditioner
from danlu.contracts import Condition, Features, Image
from danlu.positions.learned import SPREAD

STRIDE = 2

TINY = Image((1, 4, 4))


class ImageEncoder(Conditioner):
    """Two convolutions of stride 2 over images of one shape.

    Args:
        shape: channels, height and width.
        dim: size of the vector and of each token.
    """

    tokens = True

    def __init__(self, shape: tuple[int, int, int], dim: int) -> None:
        super().__init__(dim)
        channels, *sides = shape
        cells = 1
        for side in sides:
            for _ in range(2):
                side = -(-side // STRIDE)
            cells *= side
        self.enter = nn.Conv2d(channels, dim, 3, stride=STRIDE, padding=1)
        self.deeper = nn.Conv2d(dim, dim, 3, stride=STRIDE, padding=1)
        self.places = nn.Parameter(torch.empty(cells, dim))
        self.null = nn.Parameter(torch.empty(dim))
        self.mix = nn.Linear(dim, dim)
        self.leave = nn.Linear(dim, dim)
        for parameter in (self.places, self.null):
            nn.init.normal_(parameter, std=SPREAD)

    @override
    def forward(self, condition: Condition | None, n: int) -> Features:
        first = self.null.expand(n, 1, -1)
        here = torch.ones(n, 1, dtype=torch.bool, device=first.device)
        if condition is None:
            return self._told(first, here)
        assert isinstance(condition.values, torch.Tensor)
        h = silu(self.enter(condition.values.to(self.null.dtype)))
        cells = self.deeper(h).flatten(2).transpose(1, 2) + self.places
        cells = self.mix(silu(cells))
        valid = condition.present[:, None].expand(n, cells.shape[1])
        return self._told(torch.cat([first, cells], dim=1), torch.cat([here, valid], dim=1))

    def _told(self, tokens: torch.Tensor, valid: torch.Tensor) -> Features:
        said = tokens.masked_fill(~valid[..., None], 0.0)
        return Features(self.leave(said.sum(1) / valid.sum(1, keepdim=True)), said, valid)

    @override
    def silence(self) -> None:
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)


def build(kind: Image = TINY, dim: int = 8) -> ImageEncoder:
    """An encoder of images of a shape."""
    return ImageEncoder(kind.shape, dim)
