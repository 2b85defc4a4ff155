r"""DiagAttention (TransNormer): softmax attention inside blocks of tokens that do not overlap.

Token $i$ sees the tokens $j$ of its own block, $\lfloor i/w \rfloor = \lfloor j/w \rfloor$, with
$j \le i$ when causal. The cost is $n w$ and the state is the unfinished block; with a block as long
as the sequence it is softmax attention. Linear attention spreads its weights thinly over all
tokens, while the first layers of a stack need what is near.

Use it in the first half of the layers, with `norm-attention` in the rest.

Sources: arXiv:2210.10340 §4.2.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext, State
from danlu.mixers.base import Mixer, by_steps
from danlu.mixers.chunks import chunks_of
from danlu.mixers.softmax import read, size_of_head, split_heads
from danlu.positions.base import HOOKS, PositionEncoding


class DiagAttention(Mixer):
    """Multi-head attention inside blocks.

    Args:
        dim: width of a token.
        heads: number of heads.
        block: tokens of a block.
        causal: whether a token sees the past alone.
        position: a position encoding, for heads of dim / heads.
    """

    forms = ("chunked", "recurrent")
    honours = HOOKS

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 8,
        block: int = 64,
        causal: bool = True,
        position: PositionEncoding | None = None,
    ) -> None:
        super().__init__(dim, position=position)
        size_of_head(dim, heads)
        if block < 1:
            raise DanluError(f"A block must hold a token, got {block}.")
        self.heads, self.block, self.causal = heads, block, causal
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        if form == "recurrent" and self.causal:
            return by_steps(self, x, context, state)
        places = context.positions
        assert places is not None
        q, k, v = (split_heads(to(x), self.heads) for to in (self.query, self.key, self.value))
        if "rotate" in self.position.hooks:
            q, k = self.position.rotate(q, k, places, places)
        if "carry" in self.position.hooks:
            v = self.position.carry(v, places)
        held = {} if state is None else state
        chunks = chunks_of(x, context.valid, self.block, held.get("count"))
        new = {"keys": k.transpose(1, 2), "values": v.transpose(1, 2), "positions": places}
        seen = {name: chunks.place(part, held.get(name)) for name, part in new.items()}
        asked = chunks.place(q.transpose(1, 2)).flatten(0, 1).transpose(1, 2)
        sees = chunks.present[:, :, None].expand(-1, -1, self.block, -1).flatten(0, 1)
        sees = (sees & torch.ones_like(sees[0]).tril() if self.causal else sees)[:, None]
        blocks = {name: part.flatten(0, 1) for name, part in seen.items()}
        y = read(self.position, asked, blocks, blocks["positions"], sees).transpose(1, 2)
        y = self.output(chunks.read(y.unflatten(0, (-1, chunks.number))).flatten(2))
        if not self.causal:
            return y, {}
        kept = {name: chunks.chunk(part, chunks.finished) for name, part in seen.items()}
        return y, {**kept, "count": chunks.total % self.block}
