r"""FLASH: gated attention, quadratic within chunks and linear between them.

Four pairs of gain and shift give $Q^q, K^q, Q^l, K^l$ from one $Z$ (see `danlu.mixers.gau`). With
chunks $g$ of $c$ tokens,

$\hat V_g = A(Q^q_g, K^q_g) V_g + \frac{1}{n} Q^l_g \sum_h {K^l_h}^\top V_h, \qquad
O = (U \odot \hat V) W_o,$

where $A$ are the weights of a gated attention unit with $c$ for its $n$. The sum is over all chunks
and $n$ the number of tokens, or, when causal, over the chunks before $g$ and $n$ the number of
tokens in them, so that nothing depends on the length to come. The state is the sum and the tokens
of the unfinished chunk.

Use it for long sequences in place of gated attention units: the cost is linear in the length.

Sources: arXiv:2202.10447 §3.2-3.3; kexue.fm/archives/8934 (scales, causal divisor).
"""

import torch
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext, State
from danlu.layers.precision import widened
from danlu.mixers.base import Mixer, by_steps
from danlu.mixers.chunks import Chunks, chunks_of
from danlu.mixers.gau import GatedParts, Weights, check_weights, gated_weights, masked
from danlu.positions.base import PositionEncoding


class FLASH(Mixer):
    """Mixed-chunk attention.

    Args:
        dim: width of a token.
        hidden: width of values and gate; 2 * dim unless given.
        size: size of queries and keys.
        chunk: tokens of a chunk.
        weights: the formula of the weights within a chunk.
        causal: whether a token sees the past alone.
        position: a position encoding, for one head of `size`; its bias acts within chunks.
    """

    forms = ("chunked", "recurrent")
    honours = frozenset({"embed", "rotate", "bias", "score_scale"})
    companion = None

    def __init__(
        self,
        dim: int,
        *,
        hidden: int | None = None,
        size: int = 128,
        chunk: int = 256,
        weights: Weights = "scaled",
        causal: bool = True,
        position: PositionEncoding | None = None,
    ) -> None:
        super().__init__(dim, position=position)
        check_weights(weights)
        if chunk < 1:
            raise DanluError(f"A chunk must hold a token, got {chunk}.")
        self.hidden = 2 * dim if hidden is None else hidden
        self.size, self.chunk, self.causal = size, chunk, causal
        self.weights: Weights = weights
        self.gates = GatedParts(dim, self.hidden, size, pairs=2)

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        if form == "recurrent" and self.causal:
            return by_steps(self, x, context, state)
        assert context.positions is not None
        gate, v, (q_near, k_near, q_far, k_far) = self.gates(x)
        if "rotate" in self.position.hooks:
            places = context.positions, context.positions
            q, k = torch.stack([q_near, q_far], 1), torch.stack([k_near, k_far], 1)
            q, k = self.position.rotate(q, k, *places)
            (q_near, q_far), (k_near, k_far) = q.unbind(1), k.unbind(1)
        chunks = chunks_of(x, context.valid, self.chunk, None if state is None else state["count"])
        held = state or {"keys": None, "positions": None}
        keys = chunks.place(torch.cat([k_near, k_far, v], dim=-1), held["keys"])
        queries = chunks.place(torch.cat([q_near, q_far], dim=-1))
        positions = chunks.place(context.positions, held["positions"])
        k_near, k_far, v = keys.split([self.size, self.size, self.hidden], dim=-1)
        q_near, q_far = queries.chunk(2, dim=-1)
        y = self._near(q_near, k_near, v, positions, chunks)
        far, total = self._far(q_far, k_far.transpose(-2, -1) @ v, chunks, state)
        y = self.gates.output(gate * chunks.read(y + far))
        if not self.causal:
            return y, {}
        done = chunks.total
        if state is not None:
            done = done + state["count"] // self.chunk * self.chunk
        unfinished = {"keys": keys, "positions": positions}
        kept = {name: chunks.chunk(part, chunks.finished) for name, part in unfinished.items()}
        return y, {**kept, "sum": chunks.chunk(total, chunks.finished), "count": done}

    def _near(self, q: Tensor, k: Tensor, v: Tensor, positions: Tensor, chunks: Chunks) -> Tensor:
        """Attention within chunks."""
        allowed = chunks.present[:, :, None].expand(-1, -1, self.chunk, -1).flatten(0, 1)
        if self.causal:
            allowed = allowed & torch.ones_like(allowed[0]).tril()
        places = positions.flatten(0, 1)
        q, k = q.flatten(0, 1)[:, None], k.flatten(0, 1)[:, None]
        count = q.new_full((1, 1, 1, 1), self.chunk)
        given = gated_weights(self.weights, self.position, q, k, (places, places), count)
        given = masked(self.weights, given, allowed[:, None])[:, 0]
        return given.unflatten(0, (-1, chunks.number)) @ v

    def _far(
        self, q: Tensor, by_chunk: Tensor, chunks: Chunks, state: State | None
    ) -> tuple[Tensor, Tensor]:
        """What comes from all chunks or those before, and the sums before each chunk and after."""
        if not self.causal:
            count = chunks.total.clamp(min=1)[:, None, None, None]
            return q @ (by_chunk.sum(1, keepdim=True) / count).to(q.dtype), by_chunk
        by_chunk = widened(by_chunk)
        start = torch.zeros_like(by_chunk[:, 0]) if state is None else state["sum"]
        total = torch.cat([start[:, None], start[:, None] + by_chunk.cumsum(1)], dim=1)
        number = torch.arange(chunks.number, device=q.device)
        if state is not None:
            number = number + state["count"][:, None] // self.chunk
        count = (number * self.chunk).clamp(min=1)[..., None, None]
        return q @ (total[:, :-1] / count).to(q.dtype), total
