"""Networks of couplings and splits: from an example's part and the class to an array of numbers.

`dense` connects every number with every other: on small or aligned images it learns most per
second of a processor. `convolutional` shares its weights over the image and grows with its
channels alone. Both start at zero, where a coupling is the identity.

Sources: arXiv:1410.8516 §3.4 (dense), arXiv:1605.08803 §3.1 (convolutional).
"""

import math
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from danlu.backbones.mlp import MLP
from danlu.backbones.resnet import ResNet

Make = Callable[[tuple[int, ...], int], nn.Module]
"""From the shape of the input and the channels of the output to a network of (x, features)."""

FEATURES = 32
"""Size of the class embedding."""
FOLD_TO = 8
"""Images are folded until their longer side is at most that."""


class Dense(nn.Module):
    """A multilayer perceptron over all numbers; `outputs` replaces the size of the first axis."""

    def __init__(self, shape: tuple[int, ...], outputs: int, *, width: int, depth: int) -> None:
        super().__init__()
        self.shape = (outputs, *shape[1:])
        dims, leaving = math.prod(shape), math.prod(self.shape)
        self.network = MLP(dims, leaving, width=width, depth=depth, features=FEATURES)
        for parameter in self.network.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, x: Float[Tensor, "batch ..."], features: Float[Tensor, "batch features"]
    ) -> Float[Tensor, "batch ..."]:
        """The array of each example."""
        return self.network(x.flatten(1), features).view(len(x), *self.shape)


def convolutional(shape: tuple[int, ...], outputs: int, *, width: int, depth: int) -> ResNet:
    """A residual network on a folded image."""
    patch, (height, wide) = 1, shape[1:]
    while max(height, wide) > FOLD_TO * patch and height % (2 * patch) == wide % (2 * patch) == 0:
        patch *= 2
    return ResNet(shape[0], outputs, width=width, depth=depth, patch=patch, features=FEATURES)
