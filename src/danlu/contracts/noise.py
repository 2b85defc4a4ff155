"""Noise as a function of (seed, step, item): samples cannot depend on their batch mates.

`ItemNoise` gives every item its own generator for every draw, on the CPU, so the bits are the
same for any batch size and any device. `BatchNoise` is for training: it follows torch's global
generator, which the trainer seeds before each play. Where a batch comes in parts, over processes
or one after the other, it draws for the whole batch and keeps the rows of the part, so that the
parts together have the noise of the whole.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts.batch import Rows
from danlu.contracts.errors import DanluError
from danlu.contracts.progress import derive_seed


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
    """Noise for one training batch, or for the part of it that is at hand."""

    def __init__(
        self, batch: int, *, device: torch.device | None = None, dtype: torch.dtype = torch.float32
    ) -> None:
        self.batch = batch
        self.device = device
        self.dtype = dtype

    def normal(self, *shape: int) -> Float[Tensor, "batch *shape"]:
        """Standard normal values, `[batch, *shape]`."""
        return self._draw(torch.randn, shape)

    def uniform(self, *shape: int) -> Float[Tensor, "batch *shape"]:
        """Uniform values on [0, 1), `[batch, *shape]`."""
        return self._draw(torch.rand, shape)

    def stratified(self) -> Float[Tensor, " batch"]:
        """Uniform values, one in each n-th of [0, 1) for a whole batch of n, in random order."""
        part = _part.get()
        n = self.batch if part is None else part.rows.whole
        generator = None if part is None else part.generator(torch.device("cpu"))
        # Always from the CPU's generator: permutations differ between devices.
        u = (torch.randperm(n, generator=generator) + torch.rand(n, generator=generator)) / n
        return self._kept(u).to(self.device, self.dtype)

    def _draw(self, sampler, shape: tuple[int, ...]) -> Tensor:  # noqa: ANN001
        part = _part.get()
        if part is None:
            return sampler(self.batch, *shape, device=self.device, dtype=self.dtype)
        generator = part.generator(self.device or torch.device("cpu"))
        whole = (part.rows.whole, *shape)
        drawn = sampler(*whole, generator=generator, device=self.device, dtype=self.dtype)
        return self._kept(drawn)

    def _kept(self, drawn: Tensor) -> Tensor:
        """The rows of the part; all where there is none."""
        part = _part.get()
        if part is None:
            return drawn
        if self.batch != len(part.rows):
            raise DanluError(
                f"BatchNoise for {self.batch} rows, but a part of {len(part.rows)} examples is "
                "trained on: draw one row for each example, of a larger shape if need be."
            )
        return drawn[part.rows.first : part.rows.last]


class _Part:
    """The part of a batch that is trained on, with one generator for each device."""

    def __init__(self, rows: Rows, seed: int) -> None:
        self.rows = rows
        self.seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def generator(self, device: torch.device) -> torch.Generator:
        """The generator that all draws of this pass share."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self._generators[device]


_part: ContextVar[_Part | None] = ContextVar("part of a batch", default=None)


@contextmanager
def part_of_batch(rows: Rows, seed: int) -> Iterator[None]:
    """Inside, `BatchNoise` draws what it draws for the whole batch, and keeps `rows`.

    Args:
        rows: the part at hand.
        seed: with which torch is seeded for the whole batch.
    """
    before = _part.set(_Part(rows, seed))
    try:
        yield
    finally:
        _part.reset(before)
