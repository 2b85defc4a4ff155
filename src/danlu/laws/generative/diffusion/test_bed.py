"""What the laws of diffusion share: points of the plane and noise that can be fixed."""

import torch
from torch import Tensor

from danlu.contracts import DanluError
from danlu.contracts.noise import ItemNoise
from danlu.laws.draws import generator, seed


def points(n: int = 64, scale: float = 2.0) -> Tensor:
    """Seeded points `[n, 2]`, float64."""
    source = generator()
    return scale * torch.randn(n, 2, generator=source, dtype=torch.float64)


def item_noise(items: int | list[int], of: int | None = None) -> ItemNoise:
    """Float64 noise of so many items, or of these, by the law's own seed unless one is given."""
    items = [*range(items)] if isinstance(items, int) else items
    return ItemNoise(seed() if of is None else of, items, dtype=torch.float64)


class RecordedNoise:
    """One fixed draw for every call, to see what a step does with it."""

    def __init__(self, z: Tensor) -> None:
        self.z = z

    def normal(self, *shape: int) -> Tensor:
        """The fixed draw."""
        return self.z

    def uniform(self, *shape: int) -> Tensor:
        """The fixed draw."""
        return self.z


class EachDraw:
    """Noise in which row k + 1 gets a unit at draw k alone, and row 0 never."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.draw = 0

    def normal(self, *shape: int) -> Tensor:
        """The next draw."""
        self.draw += 1
        if self.draw >= self.rows - 1:
            raise DanluError("A solver may draw noise at most twice a step.")
        z = torch.zeros(self.rows, *shape, dtype=torch.float64)
        z[self.draw] = 1.0
        return z

    def uniform(self, *shape: int) -> Tensor:
        """No solver that is affine in its noise asks for it."""
        raise AssertionError("uniform noise has no unit draw")
