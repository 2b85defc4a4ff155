r"""Softmax attention: each token reads a weighted mean of values, weighted by similarity.

$o_i = \sum_{j} a_{ij} v_j$ with $a_{ij} \propto \exp(s\, q_i^\top k_j + b_{ij})$ over the keys that
token $i$ may see: those up to $i$ when causal, the last $w$ with a sliding window. Heads do so
side by side; with fewer key heads, groups of query heads share keys and values. The state is the
keys and values so far, of the window alone where there is one. A position encoding may turn $q$ and
$k$, add the bias $b$, set the scale $s$ or add to the values.

Use it where recall matters and sequences are short enough for a cost of length squared; grouped
heads shrink the state, a window bounds it and makes the cost proportional to the length.

Sources: arXiv:1706.03762 eq. 1; arXiv:1911.02150 and arXiv:2305.13245 (shared keys);
arXiv:2004.05150 §3.1 (window).
"""

from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext, State
from danlu.layers.attention import (
    Derivatives,
    attend,
    attend_causally,
    attend_in_window,
    weights,
)
from danlu.layers.packing import padded_rows, unpack
from danlu.layers.varlen import CALL, Documents, allowed, attend_documents
from danlu.mixers.base import Mixer, by_steps
from danlu.mixers.keys import join_padded, last, remembered, visible
from danlu.positions.base import HOOKS, PositionEncoding, Positions


class Softmax(Mixer):
    """Multi-head attention of a sequence to itself.

    Args:
        dim: width of a token.
        heads: number of query heads.
        key_heads: number of key and value heads, a divisor of `heads`; as many unless given.
        head_dim: size of a head; dim / heads unless given.
        causal: whether a token sees the past alone.
        window: how many tokens it sees at most, itself among them (on each side if not causal).
        position: a position encoding.
    """

    forms = ("parallel", "recurrent")
    honours = HOOKS
    unpadded = True
    call = CALL
    shifts: ClassVar[bool] = False
    """Whether its maps have a bias."""

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 8,
        key_heads: int | None = None,
        head_dim: int | None = None,
        causal: bool = True,
        window: int | None = None,
        position: PositionEncoding | None = None,
    ) -> None:
        super().__init__(dim, position=position)
        key_heads = heads if key_heads is None else key_heads
        head_dim = size_of_head(dim, heads) if head_dim is None else head_dim
        if heads % key_heads:
            raise DanluError(f"{key_heads} key heads cannot serve {heads} heads equally.")
        if window is not None and window < 1:
            raise DanluError(f"A window must hold the token itself, got {window}.")
        self.heads, self.key_heads, self.head_dim = heads, key_heads, head_dim
        self.causal, self.window, self.bounded = causal, window, window is not None
        self.query = nn.Linear(dim, heads * head_dim, bias=self.shifts)
        self.key = nn.Linear(dim, key_heads * head_dim, bias=self.shifts)
        self.value = nn.Linear(dim, key_heads * head_dim, bias=self.shifts)
        self.output = nn.Linear(heads * head_dim, dim, bias=self.shifts)

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        if form == "recurrent" and self.causal:
            return by_steps(self, x, context, state)
        q, k, v = self._heads(x)
        assert context.positions is not None
        assert context.order is not None
        if "rotate" in self.position.hooks:
            q, k = self.position.rotate(q, k, context.positions, context.positions)
        if "carry" in self.position.hooks:
            v = self.position.carry(v, context.positions)
        if context.cu_seqlens is not None:
            y, seen = self._in_documents(q, k, v, context)
            return self.output(y.flatten(2)), seen
        seen = remembered(_as_keys(k, v), context, state)
        y = self._without_mask(q, k, v, context) if state is None else None
        if y is None:
            everything = not self.causal and self.window is None and context.valid is None
            sees = partial(visible, context.order, seen, causal=self.causal, window=self.window)
            y = read(self.position, q, seen, context.positions, None if everything else sees())
        return self.output(y.transpose(1, 2).flatten(2)), self._kept(seen)

    def _without_mask(
        self, q: Tensor, k: Tensor, v: Tensor, context: SequenceContext
    ) -> Tensor | None:
        """A sequence from its start without a mask of all pairs; None where it needs one."""
        # What pads a row on the right is in nobody's past.
        whole = context.valid is None or (self.causal and context.lengths is not None)
        if self._needs_scores or not whole:
            return None
        scale = self.position.score_scale(self.head_dim)
        if self.window is not None and q.shape[2] > 2 * self.window:
            k, v = (share_heads(part, self.heads) for part in (k, v))
            return attend_in_window(q, k, v, window=self.window, causal=self.causal, scale=scale)
        if self.window is not None or not self.causal:
            return None
        k, v = (share_heads(part, self.heads) for part in (k, v))
        return attend_causally(q, k, v, scale=scale)

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values as heads."""
        maps, sizes = (self.query, self.key, self.value), (self.heads, *[self.key_heads] * 2)
        few = torch.compiler.is_compiling() or x.shape[0] * x.shape[1] < self.dim
        if few:  # joining the maps would cost more than it saves
            q, k, v = (to(x) for to in maps)
        else:
            bias = torch.cat([to.bias for to in maps]) if self.shifts else None
            joined = linear(x, torch.cat([to.weight for to in maps]), bias)
            q, k, v = joined.split([to.out_features for to in maps], dim=-1)
        q, k, v = (split_heads(each, size) for each, size in zip((q, k, v), sizes, strict=True))
        return q, k, v

    def _in_documents(
        self, q: Tensor, k: Tensor, v: Tensor, context: SequenceContext
    ) -> tuple[Float[Tensor, "1 total heads values"], State]:
        """Attention inside each packed document, and the state with a row for each."""
        assert context.cu_seqlens is not None
        assert context.lengths is not None
        documents = Documents(context.cu_seqlens, context.lengths, self.call)
        seen = remembered(_as_keys(k, v), context, None)
        if self._needs_scores:
            y = self._with_scores(q, seen, documents)
        else:
            k, v = (share_heads(part, self.heads)[0].transpose(0, 1) for part in (k, v))
            y = attend_documents(
                q[0].transpose(0, 1),
                k,
                v,
                documents,
                causal=self.causal,
                window=self.window,
                scale=self.position.score_scale(self.head_dim),
            )
        if not context.remember:
            return y[None], {}
        token, valid = padded_rows(context.cu_seqlens)
        return y[None], self._kept({name: unpack(seen[name], token, valid) for name in seen})

    def _with_scores(
        self, q: Tensor, seen: State, documents: Documents
    ) -> Float[Tensor, "total heads values"]:
        """Documents side by side, with what the position encoding adds to scores or values."""
        groups = documents.groups(self.heads * self.head_dim)
        queries = groups.take(q[0].transpose(0, 1))
        parts = {name: groups.take(part[0]) for name, part in seen.items()}
        rows = []
        for number, own in enumerate(queries):
            of_group = {name: taken[number] for name, taken in parts.items()}
            valid, positions = groups.valid(number, q.device), of_group["positions"]
            mask = allowed(own.shape[1], valid, q.device, causal=self.causal, window=self.window)
            y = read(self.position, own.transpose(1, 2), of_group, positions, mask)
            rows.append(y.transpose(1, 2))
        return groups.put(rows)

    def _kept(self, seen: State) -> State:
        """The state: all, or the last tokens of the window."""
        if not self.causal:
            return {}
        return seen if self.window is None else last(seen, self.window - 1)

    @override
    def join(self, states: list[State]) -> State:
        return join_padded(states)

    @property
    def _needs_scores(self) -> bool:
        return not self.position.hooks.isdisjoint({"bias", "values"})


class ShiftedSoftmax(Softmax):
    """The same with a bias in each of its maps, as the models after BERT have it."""

    shifts = True


def _as_keys(k: Tensor, v: Tensor) -> State:
    return {"keys": k.transpose(1, 2), "values": v.transpose(1, 2)}


def size_of_head(dim: int, heads: int) -> int:
    """The size of a head.

    Raises:
        DanluError: the heads do not divide the width.
    """
    if dim % heads:
        raise DanluError(f"{heads} heads do not divide a width of {dim}; give head_dim.")
    return dim // heads


def split_heads(
    x: Float[Tensor, "batch length width"], heads: int
) -> Float[Tensor, "batch heads length dim"]:
    """The features as heads."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def share_heads(
    x: Float[Tensor, "batch key_heads keys dim"], heads: int
) -> Float[Tensor, "batch heads keys dim"]:
    """Each key head for its group of query heads."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], dim=1)


def read(
    position: PositionEncoding,
    q: Float[Tensor, "batch heads length dim"],
    seen: State,
    q_positions: Positions,
    mask: Bool[Tensor, "#batch 1 #length keys"] | None,
    derivatives: Derivatives = "first",
) -> Float[Tensor, "batch heads length dim"]:
    """Attention to remembered keys and values, with the hooks of the position encoding."""
    k, v = (share_heads(seen[name].transpose(1, 2), q.shape[1]) for name in ("keys", "values"))
    scale, k_positions = position.score_scale(q.shape[-1]), seen["positions"]
    if "bias" in position.hooks:
        bias = position.bias(q, k, q_positions, k_positions).to(q.dtype)
        mask = bias if mask is None else bias.masked_fill(~mask, -torch.inf)
    if "values" not in position.hooks:
        return attend(q, k, v, mask=mask, scale=scale, derivatives=derivatives)
    given = weights(q, k, mask=mask, scale=scale).to(v.dtype)
    return given @ v + position.values(given, q_positions, k_positions)
