r"""Revolve: backward through a long scan with few snapshots and the fewest repeated steps.

With $c$ snapshots, the scan's input included, and no step run more than $r$ times, chains of at
most $\beta(c, r) = \binom{c+r}{c}$ steps can be reversed. The fewest forward steps for a chain of
$n$ are $t(n, c) = r n - \beta(c+1, r-1)$ with the smallest $r$ for which $\beta(c, r) \ge n$; they
are reached by advancing $j$ steps, keeping that state, reversing the rest with $c - 1$ snapshots,
and then the first $j$ steps with $c$.

Use it for recurrences and solvers of differential equations, whose states are small and many:
memory grows with $c$ instead of $n$.

Sources: Griewank and Walther 2000, doi:10.1145/347837.347846.
"""

from collections.abc import Callable, Sequence
from functools import cache
from math import comb
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from danlu.contracts import DanluError

Step = Callable[[tuple[Tensor, ...], int], tuple[Tensor, ...]]


def least_steps(n: int, snapshots: int) -> int:
    """Forward steps t(n, c) that reversing a chain of `n` steps takes, the last one's excluded."""
    repeats = 0
    while comb(snapshots + repeats, snapshots) < n:
        repeats += 1
    return repeats * n - comb(snapshots + repeats, snapshots + 1) if repeats else 0


@cache
def split(n: int, snapshots: int) -> int:
    """Steps to advance before the next snapshot, for the fewest in all."""
    if snapshots == 1:
        return n - 1
    return min(range(1, n), key=lambda j: _steps_with(n, snapshots, j))


def revolve(
    step: Step,
    state: Sequence[Tensor],
    parameters: Sequence[Tensor],
    *,
    n: int,
    snapshots: int,
) -> tuple[Tensor, ...]:
    """The state after `n` steps, differentiable in the first state and the parameters.

    Args:
        step: `step(state, index) -> state`; it draws nothing and changes nothing.
        state: the first state.
        parameters: every tensor beside the state whose gradient is wanted.
        n: steps, at least one.
        snapshots: states kept at a time, the first included, the current one not.

    Raises:
        ValueError: less than one step or snapshot.
    """
    if n < 1 or snapshots < 1:
        raise DanluError(f"revolve needs a step and a snapshot, got {n=} and {snapshots=}.")
    return _Revolve.apply(step, n, snapshots, len(state), *state, *parameters)


class _Revolve(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, step: Step, n: int, snapshots: int, width: int, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        state = tensors[:width]
        context.step, context.n, context.width = step, n, width
        context.parameters = tensors[width:]
        # The states that the first sweep of the schedule keeps: (index, state), first to last.
        kept: list[tuple[int, tuple[Tensor, ...]]] = [(0, state)]
        index, left = 0, snapshots
        while n - index > 1 and left > 1:
            ahead = index + split(n - index, left)
            state = _advance(step, state, index, ahead)
            index, left = ahead, left - 1
            kept.append((index, state))
        # The state that the sweep ends on is at hand, so the last step is never swept to again.
        context.last = _advance(step, state, index, n - 1)
        context.kept, context.snapshots = kept, snapshots
        return tuple(leaf.clone() for leaf in _advance(step, context.last, n - 1, n))

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradient: Tensor) -> tuple[Any, ...]:
        wanted = [p for p in context.parameters if p.requires_grad]
        tape = _Tape(context.step, wanted)
        gradient = tape.one(context.last, context.n - 1, gradient)
        stop, left = context.n - 1, context.snapshots - len(context.kept) + 1
        for index, state in reversed(context.kept):
            gradient = tape.reverse(state, index, stop, gradient, left)
            stop, left = index, left + 1
        sums = iter(tape.sums)
        outer = [next(sums) if p.requires_grad else None for p in context.parameters]
        return None, None, None, None, *gradient, *outer


class _Tape:
    """Runs the reverse schedule and adds up the parameters' gradients."""

    def __init__(self, step: Step, wanted: list[Tensor]) -> None:
        self.step = step
        self.wanted = wanted
        self.sums = [torch.zeros_like(p) for p in wanted]

    def reverse(
        self,
        state: tuple[Tensor, ...],
        start: int,
        stop: int,
        gradient: tuple[Tensor, ...],
        snapshots: int,
    ) -> tuple[Tensor, ...]:
        """The gradient at `start` from the one at `stop`."""
        while stop - start > 1:
            middle = start + split(stop - start, snapshots)
            ahead = _advance(self.step, state, start, middle)
            gradient = self.reverse(ahead, middle, stop, gradient, max(snapshots - 1, 1))
            stop = middle
        return self.one(state, start, gradient) if stop > start else gradient

    def one(
        self, state: tuple[Tensor, ...], index: int, gradient: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The gradient before the step at `index` from the one after it."""
        inputs = [leaf.detach().requires_grad_() for leaf in state]
        with torch.enable_grad():
            outputs = self.step(tuple(inputs), index)
        found = torch.autograd.grad(
            outputs, [*inputs, *self.wanted], gradient, allow_unused=True, materialize_grads=True
        )
        for total, part in zip(self.sums, found[len(inputs) :], strict=True):
            total += part
        return found[: len(inputs)]


def _advance(step: Step, state: tuple[Tensor, ...], start: int, stop: int) -> tuple[Tensor, ...]:
    with torch.no_grad():
        for index in range(start, stop):
            state = step(state, index)
    return state


def _steps_with(n: int, snapshots: int, j: int) -> int:
    return j + least_steps(j, snapshots) + least_steps(n - j, snapshots - 1)
