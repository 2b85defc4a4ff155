"""Classes as rows of a table, with one more row for no class.

Sources: arXiv:1411.1784 §3.2 (a condition beside the input), arXiv:2207.12598 (the null class).
"""

import torch
from torch import nn
from typing_extensions import override

from danlu.conditioning.conditioner import Conditioner
from danlu.contracts import Classes, Condition, DanluError, Features

TINY = Classes(3)


class ClassEmbedding(Conditioner):
    """A learned vector for each class and one for no class, whose id is `classes`.

    Without classes it is blind: what it is told means nothing, and it always gives the last row.
    """

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__(dim)
        self.classes = classes
        self.table = nn.Embedding(classes + 1, dim)

    @override
    def forward(self, condition: Condition | None, n: int) -> Features:
        if condition is None or not self.classes:
            ids = torch.full((n,), self.classes, device=self.table.weight.device)
            return Features(self.table(ids))
        ids = condition.ids
        if ids is None:
            raise DanluError("A class is expected, and the condition is of another kind.")
        if condition.given is not None:
            ids = torch.where(condition.given, ids, self.classes)
        return Features(self.table(ids))

    @override
    def silence(self) -> None:
        nn.init.zeros_(self.table.weight)


def build(kind: Classes = TINY, dim: int = 8) -> ClassEmbedding:
    """A table for so many classes."""
    return ClassEmbedding(kind.classes, dim)
