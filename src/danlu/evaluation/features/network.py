"""The small convolutional network behind the feature spaces: 128 features, then class scores."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from danlu.data import Examples
from danlu.evaluation.metrics.cloud import subset

FEATURES = 128
SCALE_EXAMPLES = 500  # behind the scale of the features
CHANNELS = (32, 64, 128)
LARGEST_GRID = 32


class FeatureNetwork(nn.Module):
    """Three convolutions from a grid of at most 32 by 32, and a penultimate layer of 128 features.

    The first convolution has a stride that brings larger images to that grid, so the cost of an
    example is bounded.
    """

    scale: Float[Tensor, ""]

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        stride = math.ceil(max(height, width) / LARGEST_GRID)
        first, second, third = CHANNELS
        pool = nn.MaxPool2d(2, ceil_mode=True)
        rows, columns = (math.ceil(side // stride / 8) for side in (height, width))
        self.body = nn.Sequential(
            # A 3 by 3 convolution of cells of `stride` by `stride` pixels.
            nn.Conv2d(channels, first, 3 * stride, stride, padding=stride, bias=False),
            *(nn.BatchNorm2d(first), nn.ReLU(), pool),
            nn.Conv2d(first, second, 3, padding=1, bias=False),
            *(nn.BatchNorm2d(second), nn.ReLU(), pool),
            nn.Conv2d(second, third, 3, padding=1, bias=False),
            *(nn.BatchNorm2d(third), nn.ReLU(), pool),
            nn.Flatten(),
            nn.Linear(third * rows * columns, FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, classes)
        self.register_buffer("scale", torch.ones(()))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def seeded(cls, seed: int, shape: tuple[int, ...], classes: int) -> "FeatureNetwork":
        """A network with weights drawn from a seed; torch's global generator stays as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(shape, classes)

    def features(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features"]:
        """The penultimate layer after its rectifier, scaled by `settle`."""
        return self.body(x.contiguous(memory_format=torch.channels_last)) * self.scale

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Class scores."""
        return self.head(self.features(x))

    @torch.no_grad()
    def settle(self, examples: Examples) -> None:
        """End of training: scales features to a mean square of 1; class scores stay the same."""
        self.eval().requires_grad_(False)
        x = examples.x(subset(len(examples), SCALE_EXAMPLES))
        size = self.features(x).square().mean().sqrt()
        self.scale /= size
        self.head.weight *= size
