"""The processes that train together; one process has nothing to do."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class Processes(Protocol):
    """What the trainer asks of a group of processes."""

    rank: int
    world: int

    def average_gradients(self, weights: Sequence[nn.Parameter], examples: int) -> None:
        """Mean of one player's gradients over processes, weighted by their examples."""
        ...


class SingleProcess:
    """A group of one."""

    rank = 0
    world = 1

    def average_gradients(self, weights: Sequence[nn.Parameter], examples: int) -> None:
        """Nothing to average."""
