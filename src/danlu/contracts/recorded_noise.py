"""Noise that makes a sampler a function: draws that are kept, and draws that are given."""

from jaxtyping import Float
from torch import Tensor

from danlu.contracts.noise import Noise


class RecordedNoise:
    """Passes draws of another noise on and keeps them, in order, as (kind, values)."""

    def __init__(self, noise: Noise) -> None:
        self.noise = noise
        self.draws: list[tuple[str, Tensor]] = []

    def normal(self, *shape: int) -> Float[Tensor, "batch *shape"]:
        """Standard normal values, `[batch, *shape]`."""
        return self._kept("normal", self.noise.normal(*shape))

    def uniform(self, *shape: int) -> Float[Tensor, "batch *shape"]:
        """Uniform values on [0, 1), `[batch, *shape]`."""
        return self._kept("uniform", self.noise.uniform(*shape))

    def _kept(self, kind: str, values: Tensor) -> Tensor:
        self.draws.append((kind, values))
        return values


class GivenNoise(list[Tensor]):
    """Hands out the given tensors, one for each draw."""

    def normal(self, *shape: int) -> Float[Tensor, "batch *shape"]:
        """The next tensor."""
        return self.pop(0)

    def uniform(self, *shape: int) -> Float[Tensor, "batch *shape"]:
        """The next tensor."""
        return self.pop(0)
