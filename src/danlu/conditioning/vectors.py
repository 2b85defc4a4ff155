r"""Vectors through a small network: $W_2\,\mathrm{SiLU}(W_1 v + b_1) + b_2$, or a learned null.

Sources: arXiv:1411.1784 §3.2 (conditions of any kind), arXiv:2207.12598 (the null condition).
"""

import torch
from torch import nn
from torch.nn.functional import silu
from typing_extensions import override

from danlu.conditioning.conditioner import Conditioner
from danlu.contracts import Condition, Features, Vector

TINY = Vector(2)


class VectorEmbedding(Conditioner):
    """Two linear maps of a vector, and a learned vector for none."""

    def __init__(self, features: int, dim: int) -> None:
        super().__init__(dim)
        self.enter = nn.Linear(features, dim)
        self.leave = nn.Linear(dim, dim)
        self.null = nn.Parameter(torch.zeros(dim))

    @override
    def forward(self, condition: Condition | None, n: int) -> Features:
        null = self.null.expand(n, -1)
        if condition is None:
            return Features(null)
        assert isinstance(condition.values, torch.Tensor)
        values = condition.values.to(self.enter.weight.dtype)
        vector = self.leave(silu(self.enter(values)))
        return Features(torch.where(condition.present[:, None], vector, null))

    @override
    def silence(self) -> None:
        for parameter in (*self.leave.parameters(), self.null):
            nn.init.zeros_(parameter)


def build(kind: Vector = TINY, dim: int = 8) -> VectorEmbedding:
    """A network for vectors of a size."""
    return VectorEmbedding(kind.features, dim)
