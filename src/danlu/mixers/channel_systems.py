"""What S4D and S4 share: a linear system of one input and one output for each channel.

The state is complex and stands for itself and its conjugate; it is kept as real pairs. The skip
connection, an activation and a linear map of the channels follow the systems.

Sources: arXiv:2111.00396 and arXiv:2206.11893.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu
from torch.utils.checkpoint import checkpoint
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.layers.pairs import times, twice_real
from danlu.layers.precision import full_precision, wide, widened
from danlu.layers.scans.state_space import by_fourier, carried, in_chunks, recalled
from danlu.mixers.time_invariant import CHUNK, TimeInvariant

BLOCK = 64
"""Frequencies or tokens of a kernel at once: each of them is a sum over all states."""


def in_blocks(response: Callable[[Tensor], Tensor], points: Float[Tensor, " count"]) -> Tensor:
    """What is said of each point, by blocks of them; the gradient computes a block again."""
    if len(points) <= BLOCK:
        return response(points)
    run = partial(checkpoint, response, use_reentrant=False, preserve_rng_state=False)
    return torch.cat([run(block) for block in points.split(BLOCK)], dim=-1)


class ChannelSystems(TimeInvariant):
    """One linear system for each channel.

    Args:
        dim: width of a token.
        states: size of the state of a channel, complex numbers and their conjugates together.
        steps: smallest and largest step of time at first, between which logarithms are uniform.
    """

    out: Tensor

    def __init__(self, dim: int, *, states: int, steps: tuple[float, float]) -> None:
        super().__init__(dim)
        if states < 2 or states % 2:
            raise DanluError(f"Numbers and conjugates are an even number of states, not {states}.")
        self.pairs = states // 2
        low, high = (math.log(step) for step in steps)
        self.log_step = nn.Parameter(torch.rand(dim) * (high - low) + low)
        self.out = nn.Parameter(torch.randn(dim, self.pairs, 2) * 0.5**0.5)
        self.skip = nn.Parameter(torch.randn(dim))
        self.output = nn.Linear(dim, dim)

    @abstractmethod
    def step_on(
        self, u: Float[Tensor, "batch dim"], h: Float[Tensor, "batch dim pairs 2"]
    ) -> Float[Tensor, "batch dim pairs 2"]:
        """The state after one token."""

    @abstractmethod
    def orbits(
        self, count: int
    ) -> tuple[Float[Tensor, "count dim states"], Float[Tensor, "more dim states"]]:
        """How inputs are written and, for one power more, how the state is read."""

    @abstractmethod
    def go_on(self, count: int) -> Callable[[Tensor], Tensor]:
        """From a state `[batch, dim, states]` to that `count` tokens later, if nothing enters."""

    @abstractmethod
    def kernel(self, length: int) -> Float[Tensor, "dim length"]:
        """The response to one input, by the formula of the method."""

    @override
    def empty(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), self.dim, self.pairs, 2, dtype=wide(x))

    @override
    def respond(self, x: Tensor, start: Tensor, form: str) -> tuple[Tensor, Tensor]:
        with full_precision(x):
            return self._respond(widened(x), start, form)

    def _respond(self, x: Tensor, start: Tensor, form: str) -> tuple[Tensor, Tensor]:
        length = x.shape[1]
        write, read = self.orbits(length if form == "parallel" else min(CHUNK, length))
        if form == "fft":  # the inputs by the kernel, what was before them in chunks
            _, h = carried(x, write, self.go_on, start.flatten(2))
            before, _ = carried(torch.zeros_like(x), write, self.go_on, start.flatten(2))
            y = by_fourier(x, self.kernel(length)) + recalled(before, read)[:, :length]
        else:
            y, h = in_chunks(x, write, read, self.go_on, start.flatten(2))
        return y, h.reshape(start.shape)

    @override
    def advance(self, x: Tensor, start: Tensor) -> Tensor:
        states = [start]
        for token in widened(x).unbind(1):
            states.append(self.step_on(token, states[-1]))
        return torch.stack(states[1:], dim=1)

    @override
    def read(self, h: Tensor, x: Tensor) -> Tensor:
        return twice_real(times(h, self.out))

    @override
    def finish(self, y: Tensor, x: Tensor) -> Tensor:
        return self.output(gelu(y.to(x.dtype) + self.skip * x))
