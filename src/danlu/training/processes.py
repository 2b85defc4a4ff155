r"""The processes that train together, each on its part of every batch.

With the loss of a batch of $N$ examples a mean, a process with $n$ of them takes the gradient of
$\frac{n}{N} L$, so the whole batch's gradient is the plain sum over processes. The gradients of a
play, its losses and the statistics that modules have stashed are additive alike: they travel
together, in one flat all-reduce for each play. What decides the course of a run (time, a stop) is
agreed upon, so that every process takes the same steps.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import reduce
from typing import Protocol, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from danlu.contracts import DanluError
from danlu.training.weights import named_tensors


@runtime_checkable
class Processes(Protocol):
    """What the trainer asks of a group of processes.

    Attributes:
        rank: of this process. The one of rank 0 leads: it alone writes, reports and runs hooks.
        world: number of processes.
    """

    rank: int
    world: int

    def place(self, model: nn.Module) -> None:
        """Called once, before optimisers are made: all processes begin with the same weights."""
        ...

    def combine(self, weights: Sequence[nn.Parameter], sums: Sequence[Tensor]) -> None:
        """Add up the gradients of weights, and sums, over all processes, in place."""
        ...

    def share(self, model: nn.Module) -> None:
        """Give every process the leader's weights and buffers."""
        ...

    def largest(self, value: float) -> float:
        """The largest of all values: processes agree on a time, or that one wants to stop."""
        ...

    def leader_first(self) -> AbstractContextManager[None]:
        """What is inside is done by the leader, then by the others."""
        ...


class SingleProcess:
    """A group of one."""

    rank = 0
    world = 1

    def place(self, model: nn.Module) -> None:
        """Nobody else has weights."""

    def combine(self, weights: Sequence[nn.Parameter], sums: Sequence[Tensor]) -> None:
        """Nothing to add."""

    def share(self, model: nn.Module) -> None:
        """Nobody to share with."""

    def largest(self, value: float) -> float:
        """The value itself."""
        return value

    def leader_first(self) -> AbstractContextManager[None]:
        """Nobody to wait for."""
        return nullcontext()


class ReplicatedProcesses:
    """Every process has the whole model, on `torch.distributed`'s default group."""

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.world = dist.get_world_size()

    def place(self, model: nn.Module) -> None:
        """All begin with the leader's weights."""
        self.share(model)

    @torch.no_grad()
    def combine(self, weights: Sequence[nn.Parameter], sums: Sequence[Tensor]) -> None:
        """One flat all-reduce; a weight has no gradient only where none of the processes has."""
        known = [float(weight.grad is not None) for weight in weights]
        having = torch.tensor(known, device=weights[0].device)
        gradients = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
        tensors = [having, *gradients, *sums]
        dtype = reduce(torch.promote_types, (t.dtype for t in tensors), torch.float32)
        flat = torch.cat([t.reshape(-1).to(having.device, dtype) for t in tensors])
        with _together():
            dist.all_reduce(flat)
        _scatter(flat, tensors)
        for weight, gradient, owners in zip(weights, gradients, having.tolist(), strict=True):
            weight.grad = gradient if owners else None

    @torch.no_grad()
    def share(self, model: nn.Module) -> None:
        """One flat broadcast of bytes from the leader."""
        tensors = list(named_tensors(model).values())
        if not tensors:
            return
        device = tensors[0].device
        flat = torch.cat([t.detach().reshape(-1).view(torch.uint8).to(device) for t in tensors])
        with _together():
            dist.broadcast(flat, src=0)
        sizes = [t.numel() * t.element_size() for t in tensors]
        for tensor, piece in zip(tensors, flat.split(sizes), strict=True):
            tensor.copy_(piece.clone().view(tensor.dtype).view(tensor.shape))

    def largest(self, value: float) -> float:
        """By an all-reduce of one number on the CPU."""
        number = torch.tensor(value, dtype=torch.float64)
        with _together():
            dist.all_reduce(number, dist.ReduceOp.MAX)
        return float(number)

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """The others wait until the leader is through."""
        if self.rank:
            self.largest(0.0)
        yield
        if not self.rank:
            self.largest(0.0)


def _scatter(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    for tensor, piece in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(piece.view(tensor.shape))


@contextmanager
def _together() -> Iterator[None]:
    """A process that is gone is told in one line; its own message is the one that matters."""
    try:
        yield
    except RuntimeError as error:
        raise DanluError(
            "Another process has stopped or cannot be reached; its own message says why."
        ) from error
