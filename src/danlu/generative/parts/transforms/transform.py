"""The contract of element-wise transforms: increasing maps of every number by itself."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn


class Transform(nn.Module, ABC):
    """An increasing map of every number by itself, by parameters that a network gives.

    Parameters of zero make it the identity, with which a coupling starts.

    Attributes:
        parameters_per_number: how many parameters move a number.
    """

    parameters_per_number: int

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "batch ..."], theta: Float[Tensor, "batch parameters ..."]
    ) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, "batch ..."]]:
        """The moved numbers and the logarithm of each one's derivative.

        `theta` has the shape of x, behind an axis of the parameters of a number.
        """

    @abstractmethod
    def inverse(
        self, z: Float[Tensor, "batch ..."], theta: Float[Tensor, "batch parameters ..."]
    ) -> Float[Tensor, "batch ..."]:
        """The numbers that `forward` moves to z."""
