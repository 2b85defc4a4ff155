r"""Residual multilayer perceptron for vectors, with optional features added at every block.

$h \leftarrow h + W_2\,\mathrm{SiLU}(W_1\,\mathrm{SiLU}(h + U f))$, with features $f$ such as a
time or class embedding.

Sources: arXiv:1512.03385 (residual connections), arXiv:1702.03118 (SiLU).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu


class MLP(nn.Module):
    """`depth` residual blocks of `width` between two linear maps."""

    def __init__(
        self, inputs: int, outputs: int, *, width: int = 256, depth: int = 3, features: int = 0
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(_Block(width, features) for _ in range(depth))
        self.leave = nn.Linear(width, outputs)

    def forward(
        self,
        x: Float[Tensor, "batch inputs"],
        features: Float[Tensor, "batch features"] | None = None,
    ) -> Float[Tensor, "batch outputs"]:
        """Outputs for each row."""
        h = self.enter(x)
        for block in self.blocks:
            h = block(h, features)
        return self.leave(silu(h))


class _Block(nn.Module):
    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.project = nn.Linear(features, width) if features else None
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        with torch.no_grad():
            # A small second map keeps the stack near the identity at the start.
            self.second.weight.mul_(0.1)

    def forward(self, h: Tensor, features: Tensor | None) -> Tensor:
        inner = h if self.project is None or features is None else h + self.project(features)
        return h + self.second(silu(self.first(silu(inner))))
