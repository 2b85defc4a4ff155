"""What turns a condition into what networks read, and leaves it out at times while training.

Leaving conditions out at random teaches the null condition, so that one network is conditional and
unconditional; classifier-free guidance and unconditional sampling need both. What is told of a row
that was left out does not matter: its features are those of no condition at all.

Sources: arXiv:2207.12598 (the null condition).
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from danlu.contracts import Condition, Features
from danlu.contracts.noise import BatchNoise


class Conditioner(nn.Module, ABC):
    """Maps a batch of conditions, or None for no condition, to features.

    Args:
        dim: size of the vector, and of each token where there are any.

    Attributes:
        tokens: whether it gives tokens beside the vector.
    """

    tokens: ClassVar[bool] = False

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    @abstractmethod
    def forward(self, condition: Condition | None, n: int) -> Features:
        """The features of n conditions; those of the null condition where nothing is told."""

    @abstractmethod
    def silence(self) -> None:
        """Let every vector be 0 at first."""

    def vector(self, condition: Condition | None, n: int) -> Float[Tensor, "n dim"]:
        """The vector alone, for a network that attends to nothing."""
        return self(condition, n).vector

    @property
    def memory(self) -> int:
        """Size of its tokens; 0 where it gives none."""
        return self.dim if self.tokens else 0

    def drop(self, condition: Condition | None, probability: float) -> Condition | None:
        """The same with each row left out at the given probability."""
        if condition is None:
            return None
        noise = BatchNoise(len(condition), device=condition.device)
        return condition.only(noise.uniform() >= probability)
