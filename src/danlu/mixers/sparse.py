r"""Sparse Transformer: two patterns of attention that together reach every earlier token.

With stride $l$, the even heads take pattern A and the odd ones pattern B:

- `strided`: A sees $j \in [i - l, i]$, B sees $j \le i$ with $(i - j) \bmod l = 0$;
- `fixed`: A sees $\lfloor j/l \rfloor = \lfloor i/l \rfloor$, B sees $j \bmod l \ge l - c$, the
  last $c$ tokens of each block, both with $j \le i$.

Two hops reach any earlier token over the stride or the summaries. The chunked form costs
$n (l + n/l)$, hence $n \sqrt n$ with $l \approx \sqrt n$; the parallel form is dense attention with
the pattern as its mask, which is also how a sequence is continued from a state.

Use `strided` for data with that period, as rows of pixels, and `fixed` for text.

Sources: arXiv:1904.10509 §4.2-4.3.
"""

from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext, State, unknown
from danlu.layers.attention import attend, attend_causally
from danlu.mixers.base import Mixer, by_steps
from danlu.mixers.chunks import chunks_of
from danlu.mixers.keys import join_padded, remembered
from danlu.mixers.softmax import size_of_head, split_heads
from danlu.positions.base import PositionEncoding

Pattern = Literal["strided", "fixed"]

_NO_SCORES = "its chunked form has no matrix of all scores."


class Sparse(Mixer):
    """Multi-head causal attention in sparse patterns.

    Args:
        dim: width of a token.
        heads: number of heads, even.
        pattern: which tokens the heads see.
        stride: the l of the pattern.
        summaries: the c of the fixed pattern.
        position: a position encoding, for heads of dim / heads.
    """

    forms = ("chunked", "parallel", "recurrent")
    honours = frozenset({"embed", "rotate"})
    bounded = False
    refusals: ClassVar[dict[str, str]] = dict.fromkeys(("bias", "values"), _NO_SCORES)

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 8,
        pattern: Pattern = "strided",
        stride: int = 32,
        summaries: int = 4,
        position: PositionEncoding | None = None,
    ) -> None:
        super().__init__(dim, position=position)
        size_of_head(dim, heads)
        if heads % 2:
            raise DanluError(f"Two patterns need an even number of heads, got {heads}.")
        if pattern not in get_args(Pattern):
            raise unknown("pattern", pattern, get_args(Pattern))
        if not 1 <= summaries <= stride:
            raise DanluError(f"A block of {stride} tokens cannot end in {summaries} summaries.")
        self.heads, self.stride, self.summaries = heads, stride, summaries
        self.pattern: Pattern = pattern
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        if form == "recurrent":
            return by_steps(self, x, context, state)
        assert context.positions is not None
        assert context.order is not None
        q, k, v = (split_heads(to(x), self.heads) for to in (self.query, self.key, self.value))
        if "rotate" in self.position.hooks:
            q, k = self.position.rotate(q, k, context.positions, context.positions)
        seen = remembered({"keys": k.transpose(1, 2), "values": v.transpose(1, 2)}, context, state)
        if form == "chunked" and state is None:
            y = self._in_chunks(x, q, k, v, context.valid)
        else:
            mask = patterns(self.pattern, context.order, seen["order"], self.stride, self.summaries)
            mask = mask & seen["valid"][:, None, None, :]
            mask = mask.repeat(1, self.heads // 2, 1, 1)
            y = attend(q, seen["keys"].transpose(1, 2), seen["values"].transpose(1, 2), mask=mask)
        return self.output(y.transpose(1, 2).flatten(2)), seen

    @override
    def join(self, states: list[State]) -> State:
        return join_padded(states)

    def _in_chunks(
        self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None
    ) -> Tensor:
        """Both patterns without a mask over all pairs, on tokens in blocks of a stride."""
        chunks = chunks_of(x, valid, self.stride)
        together = torch.stack([q, k, v], dim=-2).transpose(1, 2)  # [batch, length, heads, 3, dim]
        placed = chunks.place(together).permute(
            0, 3, 1, 2, 4, 5
        )  # [batch, heads, chunks, size, ..]
        near, far = placed[:, 0::2].unbind(-2), placed[:, 1::2].unbind(-2)
        strided = self.pattern == "strided"
        read = (self._band, self._columns) if strided else (self._blocks, self._summaries)
        y = torch.stack([read[0](*near), read[1](*far)], dim=2).flatten(1, 2)
        return chunks.read(y.permute(0, 2, 3, 1, 4)).transpose(1, 2)

    def _band(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The tokens up to a stride back: this block and the previous one."""
        k, v = (torch.cat([_previous(part), part], dim=3) for part in (k, v))
        row = torch.arange(self.stride, device=q.device)[:, None]
        column = torch.arange(2 * self.stride, device=q.device)
        band = (column >= row) & (column <= row + self.stride)
        first = torch.arange(q.shape[2], device=q.device)[:, None, None] == 0
        mask = band & ~(first & (column < self.stride))
        mask = mask.repeat(q.shape[1], 1, 1)[None]
        y = attend(*(part.flatten(1, 2) for part in (q, k, v)), mask=mask)
        return y.unflatten(1, q.shape[1:3])

    def _columns(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The tokens a whole number of strides back: one cell of every block."""
        turned = [part.transpose(2, 3).flatten(1, 2) for part in (q, k, v)]
        y = attend_causally(*turned)
        return y.unflatten(1, (q.shape[1], self.stride)).transpose(2, 3)

    def _blocks(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The tokens of this block."""
        y = attend_causally(*(part.flatten(1, 2) for part in (q, k, v)))
        return y.unflatten(1, q.shape[1:3])

    def _summaries(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The last tokens of all blocks so far."""
        k, v = (part[:, :, :, -self.summaries :].flatten(2, 3) for part in (k, v))
        cell = torch.arange(q.shape[2] * self.stride, device=q.device)
        ends = cell.unflatten(0, (-1, self.stride))[:, -self.summaries :].flatten()
        mask = (ends <= cell[:, None])[None, None]
        return attend(q.flatten(2, 3), k, v, mask=mask).unflatten(2, q.shape[2:4])


def patterns(
    pattern: Pattern,
    q_order: Int[Tensor, "batch length"],
    k_order: Int[Tensor, "batch keys"],
    stride: int,
    summaries: int,
) -> Bool[Tensor, "batch 2 length keys"]:
    """What patterns A and B see, by their definition."""
    i, j = q_order[:, :, None], k_order[:, None, :]
    if pattern == "strided":
        near, far = i - j <= stride, (i - j) % stride == 0
    else:
        near, far = i // stride == j // stride, j % stride >= stride - summaries
    far = far.expand_as(i - j)
    return torch.stack([near, far], dim=1) & (i >= j)[:, None]


def _previous(part: Tensor) -> Tensor:
    """Each block's previous one, zeros before the first."""
    return torch.cat([torch.zeros_like(part[:, :, :1]), part[:, :, :-1]], dim=2)
