"""A density in the plane with an exact sampler and an exact normalised log-density.

Everything is computed in float64. The extent of all of them is about [-4, 4] in each direction.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from danlu.contracts import DataDescription, derive_seed
from danlu.data.source import Examples, Source

SIZES = {"training": 50_000, "validation": 10_000, "test": 10_000}


class Density(ABC):
    """A distribution in the plane that is known completely.

    Attributes:
        reach: the mass outside [-reach, reach] squared is below 1e-13.
        modes: centres, where it is a mixture of well-separated Gaussians.
        mode_scale: their standard deviation.
    """

    reach: ClassVar[float]
    modes: Float64[Tensor, "modes 2"] | None = None
    mode_scale: ClassVar[float | None] = None

    @abstractmethod
    def draw(self, n: int, generator: torch.Generator) -> Float64[Tensor, "n 2"]:
        """Exact samples."""

    @abstractmethod
    def log_density(self, x: Float[Tensor, "batch 2"]) -> Float64[Tensor, " batch"]:
        """Exact normalised log-density in nats."""


def density_source(name: str, density: Density) -> Source:
    """Fixed draws of a density: 50,000 training, 10,000 validation and 10,000 test points."""
    draws = {}
    for split, n in SIZES.items():
        generator = torch.Generator().manual_seed(derive_seed(name, split))
        draws[split] = density.draw(n, generator).float()
    low, high = draws["training"].min().item(), draws["training"].max().item()
    description = DataDescription(shape=(2,), levels=None, low=low, high=high)
    return Source(
        name=name,
        description=description,
        training=Examples(draws["training"], None, description),
        validation=Examples(draws["validation"], None, description),
        test=Examples(draws["test"], None, description),
        log_density=density.log_density,
        modes=None if density.modes is None else density.modes.float(),
        mode_scale=density.mode_scale,
    )


def normal(n: int, generator: torch.Generator) -> Float64[Tensor, "n 2"]:
    """Standard normal points."""
    return torch.randn(n, 2, generator=generator, dtype=torch.float64)


def direction(angle: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape 2"]:
    """Unit vectors."""
    return torch.stack((angle.cos(), angle.sin()), dim=-1)
