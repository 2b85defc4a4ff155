"""What the laws of sequence layers share: tiny inputs, contexts and distances between results."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from danlu.contracts import DanluError, SequenceContext
from danlu.laws.draws import generator, seeded
from danlu.mixers.base import Mixer

Build = Callable[[], Mixer]
Kind = TypeVar("Kind", bound=Mixer)

BATCH = 2
MEMORY = 5
"""Length of the sequence that cross-attention reads."""


def made(build: Callable[[], Kind]) -> Kind:
    """The tiny layer in float64, in evaluation, with weights that are nowhere zero."""
    with seeded(7):
        mixer = build().double().eval()
        with torch.no_grad():
            for parameter in mixer.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    return mixer


def tokens(mixer: Mixer, length: int, batch: int = BATCH, seed: int = 0) -> Tensor:
    """Seeded tokens `[batch, length, dim]`, or as wide as the position encoding wants them."""
    source = generator(seed)
    width = mixer.position.input_width(mixer.dim)
    return torch.randn(batch, length, width, generator=source, dtype=torch.float64)


def reads_memory(mixer: Mixer) -> bool:
    """Whether the layer needs `context.memory`."""
    return "memory" in mixer.honours


def context_for(mixer: Mixer, batch: int = BATCH, **facts: Any) -> SequenceContext:
    """A context with a memory where the layer reads one."""
    memory = None
    if reads_memory(mixer):
        width = getattr(mixer, "memory_dim", mixer.dim)
        source = generator(99)
        keys = torch.randn(batch, MEMORY, width, generator=source, dtype=torch.float64)
        memory = (keys, SequenceContext())
    return SequenceContext(memory=memory, **facts)


def one_row(context: SequenceContext, row: int) -> SequenceContext:
    """The memory of one row; other facts of the context are dropped."""
    memory = context.memory
    if memory is None:
        return SequenceContext()
    return SequenceContext(memory=(memory[0][row : row + 1], SequenceContext()))


def packed_context(context: SequenceContext, lengths: Iterable[int]) -> SequenceContext:
    """The context of documents in one row, each with its row of the memory."""
    cu_seqlens = torch.tensor([0, *lengths]).cumsum(0)
    memory = context.memory
    if memory is not None:
        keys, _ = memory
        of_keys = SequenceContext(cu_seqlens=torch.arange(len(keys) + 1) * keys.shape[1])
        memory = (keys.reshape(1, -1, keys.shape[2]), of_keys)
    return replace(context, cu_seqlens=cu_seqlens, memory=memory)


def gradients(mixer: Mixer, x: Tensor, run: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """The result of `run(x)`, and the gradients of one number of it by x and every weight."""
    x = x.clone().requires_grad_()
    y = run(x)
    source = generator(5)
    total = (y * torch.randn(y.shape, generator=source, dtype=y.dtype)).sum()
    wanted = [x, *(p for p in mixer.parameters() if p.requires_grad)]
    found = torch.autograd.grad(total, wanted, allow_unused=True)
    zeros = [torch.zeros_like(p) if g is None else g for p, g in zip(wanted, found, strict=True)]
    return [y.detach(), *zeros]


def refused(attempt: Callable[[], Any]) -> float:
    """0 if a `DanluError` answers, 1 if nothing does."""
    try:
        attempt()
    except DanluError:
        return 0.0
    return 1.0
