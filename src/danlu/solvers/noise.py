"""Noise as a function of (seed, step, item): samples cannot depend on their batch mates.

`ItemNoise` gives every item its own generator for every draw, on the CPU, so the bits are the
same for any batch size and any device. `BatchNoise` is for training: it follows torch's global
generator, which the trainer seeds before each play.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts import derive_seed


@runtime_checkable
class Noise(Protocol):
    """Draws for a batch of items; each call is the next step."""

    def normal(self, *shape: int) -> Float[Tensor, "batch *shape"]:
        """Standard normal values, `[batch, *shape]`."""
        ...

    def uniform(self, *shape: int) -> Float[Tensor, "batch *shape"]:
        """Uniform values on [0, 1), `[batch, *shape]`."""
        ...


class ItemNoise:
    """Noise for the given items; bit-equal however they are batched."""

    def __init__(
        self,
        seed: int,
        items: Sequence[int],
        *,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.seed = seed
        self.items = items
        self.step = 0
        self.device = device
        self.dtype = dtype

    def normal(self, *shape: int) -> Float[Tensor, "batch *shape"]:
        """Standard normal values, `[batch, *shape]`."""
        return self._draw(torch.randn, shape)

    def uniform(self, *shape: int) -> Float[Tensor, "batch *shape"]:
        """Uniform values on [0, 1), `[batch, *shape]`."""
        return self._draw(torch.rand, shape)

    def _draw(self, sampler, shape: tuple[int, ...]) -> Tensor:  # noqa: ANN001
        generator = torch.Generator()
        out = torch.empty(len(self.items), *shape)
        for row, item in enumerate(self.items):
            generator.manual_seed(derive_seed(self.seed, self.step, int(item)))
            out[row] = sampler(*shape, generator=generator)
        self.step += 1
        return out.to(self.device, self.dtype)


class BatchNoise:
    """Noise for one training batch from torch's global generator."""

    def __init__(
        self, batch: int, *, device: torch.device | None = None, dtype: torch.dtype = torch.float32
    ) -> None:
        self.batch = batch
        self.device = device
        self.dtype = dtype

    def normal(self, *shape: int) -> Float[Tensor, "batch *shape"]:
        """Standard normal values, `[batch, *shape]`."""
        return torch.randn(self.batch, *shape, device=self.device, dtype=self.dtype)

    def uniform(self, *shape: int) -> Float[Tensor, "batch *shape"]:
        """Uniform values on [0, 1), `[batch, *shape]`."""
        return torch.rand(self.batch, *shape, device=self.device, dtype=self.dtype)
