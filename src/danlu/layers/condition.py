"""Class conditioning with a null class, so that one network is conditional and unconditional.

Dropping the label while training (probability p) teaches the null class, which classifier-free
guidance and unconditional sampling need.

Sources: arXiv:2207.12598.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from danlu.contracts.noise import BatchNoise


class ClassEmbedding(nn.Module):
    """A learned vector for each class and one for no class, whose id is `classes`."""

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.classes = classes
        self.table = nn.Embedding(classes + 1, dim)

    def forward(self, condition: Int[Tensor, " batch"] | None, n: int) -> Float[Tensor, "n dim"]:
        """Vectors of the given ids; of the null class when `condition` is None."""
        if condition is None:
            condition = torch.full((n,), self.classes, device=self.table.weight.device)
        return self.table(condition)

    def known(self, condition: Int[Tensor, " batch"] | None, n: int) -> Float[Tensor, "n dim"]:
        """Vectors of the given ids, which mean nothing where there are no classes."""
        return self(condition if self.classes else None, n)

    def drop(
        self, condition: Int[Tensor, " batch"] | None, probability: float
    ) -> Int[Tensor, " batch"] | None:
        """The ids with each replaced by the null class at the given probability."""
        if condition is None:
            return None
        keep = BatchNoise(len(condition), device=condition.device).uniform() >= probability
        return torch.where(keep, condition, self.classes)
