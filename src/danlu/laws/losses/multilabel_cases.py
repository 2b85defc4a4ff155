"""What the laws of multi-label losses share: seeded logits and targets."""

import torch
from torch import Tensor

from danlu.laws.draws import generator


def logits(rows: int = 6, classes: int = 5, scale: float = 2.0) -> Tensor:
    """Float64 scores."""
    source = generator()
    return scale * torch.randn(rows, classes, generator=source, dtype=torch.float64)


def hard(rows: int = 6, classes: int = 5) -> Tensor:
    """Rows with none, one, ... of their classes right."""
    source = generator(1)
    order = torch.rand(rows, classes, generator=source).argsort(1)
    return (order < torch.arange(rows)[:, None] % (classes + 1)).double()


def soft(rows: int = 6, classes: int = 5) -> Tensor:
    """Targets between 0 and 1."""
    source = generator(2)
    return torch.rand(rows, classes, generator=source, dtype=torch.float64)


def choices(batch: int, items: int, classes: int) -> Tensor:
    """One class of each item, as zeros and ones."""
    picked = (torch.arange(batch * items) * 7 % classes).view(batch, items)
    return torch.nn.functional.one_hot(picked, classes).double()
