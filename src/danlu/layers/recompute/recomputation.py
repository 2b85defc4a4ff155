r"""Recompute a chain of blocks, from outside: no block and no model is written for it.

A chain is a list of blocks that run one after another, $h_{i+1} = B_i(h_i, c)$ with the same extra
arguments $c$. A segment of it keeps its input alone; its inside is computed again when the backward
pass arrives. Random numbers and autocast are restored, so gradients equal the plain ones bit for
bit, dropout included; and the running statistics of batch norms, which see each batch once.

Sources: arXiv:1604.06174 (Chen et al. 2016).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
    noop_context_fn,
)

from danlu.contracts import DanluError
from danlu.layers.recompute.buffers import Buffers
from danlu.layers.recompute.planner import Segment

Contexts = Callable[[], tuple[Any, Any]]

_PRODUCTS = frozenset(
    {
        torch.ops.aten.mm.default,
        torch.ops.aten.addmm.default,
        torch.ops.aten.bmm.default,
        torch.ops.aten.convolution.default,
    }
)


def save_products() -> tuple[Any, Any]:
    """Contexts that keep matrix products and convolutions and recompute only what is cheap."""

    def policy(_: Any, operation: Any, *__: Any, **___: Any) -> CheckpointPolicy:
        saved = operation in _PRODUCTS
        return CheckpointPolicy.MUST_SAVE if saved else CheckpointPolicy.PREFER_RECOMPUTE

    return create_selective_checkpoint_contexts(policy)


class Recomputation:
    """A recomputed chain; `remove()` or leaving its `with` block makes it plain again."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        self.blocks = tuple(blocks)

    def remove(self) -> None:
        """Give the blocks their own forward back."""
        for block in self.blocks:
            block.__dict__.pop("forward", None)

    def __enter__(self) -> "Recomputation":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def recompute(
    chain: Iterable[nn.Module],
    segments: Sequence[Segment],
    *,
    contexts: Contexts = noop_context_fn,
) -> Recomputation:
    """Recompute the segments of a chain that are marked so, whenever gradients are recorded.

    Args:
        chain: its blocks in order; each takes its state first and returns a tensor, or a tuple that
            starts with the next state. Nothing may happen to the state inside a segment.
        segments: cover the chain from its first to its last block.
        contexts: what to save inside segments; nothing by default, see `save_products`.

    Raises:
        ValueError: the segments do not cover the chain, or a block is recomputed already.
    """
    blocks = tuple(chain)
    edges = [segment.start for segment in segments] + [len(blocks)]
    if edges[0] != 0 or [segment.stop for segment in segments] != edges[1:]:
        raise DanluError(f"segments must cover {len(blocks)} blocks in order, got {segments}.")
    if any("forward" in block.__dict__ for block in blocks):
        raise DanluError("a block is recomputed already; remove() that first.")
    for segment in segments:
        if segment.recompute:
            _bind(blocks[segment.start : segment.stop], contexts)
    return Recomputation(blocks)


def _bind(blocks: Sequence[nn.Module], contexts: Contexts) -> None:
    run = _Run(tuple(blocks), contexts)
    blocks[0].forward = run
    for index, block in enumerate(blocks[1:], start=1):
        block.forward = _Pass(run, index)


class _Run:
    """Stands for the forward of a segment's first block and runs the whole segment.

    An object, not a closure: a deep copy of the model then copies its blocks with it.
    """

    def __init__(self, blocks: tuple[nn.Module, ...], contexts: Contexts) -> None:
        self.blocks = blocks
        # A compiler knows the contexts of torch alone: blocks without buffers need no others.
        self.contexts = self._guarded if Buffers(blocks).modules else contexts
        self.inner = contexts
        self.ahead: list[tuple[Any, tuple]] = []

    def __call__(self, h: Any, *extra: Any, **named: Any) -> Any:
        if torch.is_grad_enabled():
            outputs = checkpoint(
                self._all, h, *extra, use_reentrant=False, context_fn=self.contexts, **named
            )
        else:
            outputs = self._all(h, *extra, **named)
        if len(outputs) == 1:
            return outputs[0]  # no block follows that would let go of anything kept here
        last = _state(outputs[-1])
        # The blocks that follow hand on the segment's end beside what each itself returned.
        self.ahead = [(_with_state(output, last), extra) for output in outputs]
        return self.ahead[0][0]

    def _guarded(self) -> tuple[Any, Any]:
        forward, again = self.inner()
        buffers = Buffers(self.blocks)
        return _both(buffers.first(), forward), _both(buffers.again(), again)

    def _all(self, h: Any, *extra: Any, **named: Any) -> list[Any]:
        outputs = []
        for block in self.blocks:
            output = type(block).forward(block, h, *extra, **named)
            outputs.append(output)
            h = _state(output)
        # Only the end leaves the segment; inner states would stay alive in the list.
        return [_with_state(output, None) for output in outputs[:-1]] + outputs[-1:]


@contextmanager
def _both(outer: AbstractContextManager[Any], inner: AbstractContextManager[Any]) -> Iterator[None]:
    with outer, inner:
        yield


class _Pass:
    """Stands for the forward of a later block of a segment: its work is done."""

    def __init__(self, run: _Run, index: int) -> None:
        self.run = run
        self.index = index

    def __call__(self, h: Any, *extra: Any, **named: Any) -> Any:
        output, expected = self.run.ahead[self.index]
        same = len(extra) == len(expected) and all(
            a is b for a, b in zip(extra, expected, strict=True)
        )
        if h is not _state(output) or not same:
            raise DanluError(
                "a recomputed segment ran its blocks with other inputs than the model gives them; "
                "use segments of one block here."
            )
        if self.index == len(self.run.blocks) - 1:
            self.run.ahead = []
        return output


def _state(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output


def _with_state(output: Any, state: Any) -> Any:
    return (state, *output[1:]) if isinstance(output, tuple) else state
