"""What a sequence layer is told beside its input, and what it hands on."""

from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Bool, Float, Int, Num
from torch import Tensor
from torch.utils import _pytree as pytree

State = Any
"""A pytree of tensors that carries the next position; `None` before the first token."""


@dataclass(frozen=True, slots=True)
class SequenceContext:
    """Facts of a batch of sequences that every layer of a stack reads.

    Attributes:
        positions: `[batch, length]` or with trailing axes, int or float; always an argument.
        valid: `[batch, length]`, False on padding; None when nothing is padded.
        cu_seqlens: `[documents + 1]` boundaries of packed documents; then the batch is 1.
        memory: another sequence and its context, for cross-attention.
        seed: for layers that draw, such as hashing.
        penalties: named scalar terms that layers append to the loss.
    """

    positions: Num[Tensor, "batch length *axes"]
    valid: Bool[Tensor, "batch length"] | None = None
    cu_seqlens: Int[Tensor, " boundaries"] | None = None
    memory: "tuple[Float[Tensor, 'batch keys dim'], SequenceContext] | None" = None
    seed: int = 0
    penalties: list[tuple[str, Tensor]] = field(default_factory=list)


def _flatten(context: SequenceContext) -> tuple[list[Any], tuple[int, tuple[str, ...]]]:
    names = tuple(name for name, _ in context.penalties)
    values = [value for _, value in context.penalties]
    leaves = [context.positions, context.valid, context.cu_seqlens, context.memory, values]
    return leaves, (context.seed, names)


def _unflatten(leaves: Any, facts: tuple[int, tuple[str, ...]]) -> SequenceContext:
    positions, valid, cu_seqlens, memory, values = leaves
    seed, names = facts
    penalties = list(zip(names, values, strict=True))
    return SequenceContext(positions, valid, cu_seqlens, memory, seed, penalties)


pytree.register_pytree_node(
    SequenceContext, _flatten, _unflatten, serialized_type_name="danlu.SequenceContext"
)
