"""What a sequence layer is told beside its input, and what it hands on."""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Num, Shaped
from torch import Tensor
from torch.utils import _pytree as pytree

from danlu.contracts.errors import DanluError

State = dict[str, Any]
"""What a causal layer remembers: a nest of dicts and lists of tensors, batch first in each.

`state["position"]`, `[batch]`, is the index of the next token. A plain dict is a pytree that torch
saves and loads with `weights_only=True`, exports and compiles. None is the state before the first
token.
"""


@dataclass(frozen=True, slots=True)
class SequenceContext:
    """Facts of a batch of sequences that every layer of a stack reads.

    Attributes:
        positions: `[batch, length]` or with trailing axes, int or float; by default the order.
            Whole numbers that count up and begin at 0 again tell of packed documents.
        valid: `[batch, length]`, False on padding; None when nothing is padded.
        cu_seqlens: `[documents + 1]` boundaries of packed documents; then the batch is 1.
        memory: another sequence and its context, for cross-attention.
        seed: for layers that draw, such as hashing.
        penalties: named scalar terms that layers append to the loss.
        order: `[batch, length]` index of each token among the valid ones of its sequence, which
            decides what is past; layers fill it in from their state.
        lengths: tokens of each packed document, or of each row where the padding stands on the
            right, known on the host; layers fill it in.
        remember: whether packed documents leave a state behind, which training does not need.
    """

    positions: Num[Tensor, "batch length *axes"] | None = None
    valid: Bool[Tensor, "batch length"] | None = None
    cu_seqlens: Int[Tensor, " boundaries"] | None = None
    memory: "tuple[Float[Tensor, 'batch keys dim'], SequenceContext] | None" = None
    seed: int = 0
    penalties: list[tuple[str, Tensor]] = field(default_factory=list)
    order: Int[Tensor, "batch length"] | None = None
    lengths: tuple[int, ...] | None = None
    remember: bool = True

    def parted(self) -> "SequenceContext":
        """The same with the boundaries of documents that positions alone tell of.

        A collator that flattens hands on positions that count up from 0 in each document, and
        nothing else. Any other order is taken as it is. A graph that is compiled cannot look at
        values: there give `cu_seqlens`.

        Raises:
            DanluError: they begin again in one of several rows.
        """
        places = self.positions
        told = (self.cu_seqlens, self.valid, self.order, self.lengths)
        if places is None or any(fact is not None for fact in told) or places.ndim != 2:
            return self
        if torch.compiler.is_compiling() or places.is_floating_point():
            return self
        begins = places[:, 1:] == 0
        counting = begins | (places.diff(dim=1) == 1)
        if not (begins.any() and places.any() and counting.all()):
            return self
        if len(places) > 1:
            raise DanluError(
                "Positions begin again inside a row of several: put packed documents in one row."
            )
        token = begins[0].nonzero()[:, 0]
        ends = [token.new_zeros(1), token + 1, token.new_full((1,), places.shape[1])]
        return replace(self, cu_seqlens=torch.cat(ends).to(torch.int32))

    def placed(
        self, x: Shaped[Tensor, "batch length ..."], start: Int[Tensor, " batch"] | None = None
    ) -> "SequenceContext":
        """The same context with order and positions filled in; the first token has index start."""
        order = self.order
        if order is None:
            if self.cu_seqlens is not None:
                token = torch.arange(x.shape[1], device=x.device)
                document = torch.bucketize(token, self.cu_seqlens[1:], right=True)
                order = (token - self.cu_seqlens[document])[None]
            elif self.valid is None:
                order = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
            else:
                # Padding takes the index of the token before it, and none before the first.
                order = (self.valid.cumsum(1) - 1).clamp(min=0)
            order = order if start is None else order + start[:, None]
        positions = order if self.positions is None else self.positions
        return replace(self, order=order, positions=positions)


def next_position(
    x: Float[Tensor, "batch length ..."],
    context: SequenceContext,
    start: Int[Tensor, " batch"] | None = None,
) -> Int[Tensor, " batch"]:
    """The index of the token after x: start and the number of valid tokens."""
    if context.valid is None:
        count = torch.full((len(x),), x.shape[1], device=x.device)
    else:
        count = context.valid.sum(1)
    return count if start is None else count + start


def reorder(state: State, rows: Int[Tensor, " chosen"]) -> State:
    """The state of the chosen rows, which may repeat: for beams, or a batch that shrinks."""
    return pytree.tree_map(lambda leaf: leaf.index_select(0, rows.to(leaf.device)), state)


def detached(state: State) -> State:
    """The same state without its gradient history, as truncated backpropagation needs."""
    return pytree.tree_map(lambda leaf: leaf.detach(), state)


def state_bytes(state: State) -> int:
    """Bytes of all tensors of a state."""
    return sum(leaf.numel() * leaf.element_size() for leaf in pytree.tree_leaves(state))


_LEAVES = ("positions", "valid", "cu_seqlens", "order", "memory")
"""Fields that hold tensors; the other facts and the names of penalties belong to the tree."""

Facts = tuple[int, tuple[int, ...] | None, bool, tuple[str, ...]]


def _flatten(context: SequenceContext) -> tuple[list[Any], Facts]:
    names = tuple(name for name, _ in context.penalties)
    values = [value for _, value in context.penalties]
    return [*(getattr(context, name) for name in _LEAVES), values], (
        context.seed,
        context.lengths,
        context.remember,
        names,
    )


def _flatten_with_keys(context: SequenceContext) -> tuple[list[tuple[Any, Any]], Facts]:
    leaves, facts = _flatten(context)
    keys = [pytree.GetAttrKey(name) for name in (*_LEAVES, "penalties")]
    return list(zip(keys, leaves, strict=True)), facts


def _unflatten(leaves: Any, facts: Facts) -> SequenceContext:
    *tensors, values = leaves
    seed, lengths, remember, names = facts
    given = dict(zip(_LEAVES, tensors, strict=True))
    penalties = list(zip(names, values, strict=True))
    return SequenceContext(
        seed=seed, penalties=penalties, lengths=lengths, remember=remember, **given
    )


pytree.register_pytree_node(
    SequenceContext,
    _flatten,
    _unflatten,
    serialized_type_name="danlu.SequenceContext",
    flatten_with_keys_fn=_flatten_with_keys,
)
