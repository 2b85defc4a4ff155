r"""Cross-attention: each token reads another sequence, the memory.

$o_i = \sum_j a_{ij} v_j$ with $a_{ij} \propto \exp(q_i^\top k_j / \sqrt d)$, where $q$ comes from
the token and $k$, $v$ from the memory in the context. Tokens do not see one another, hence the
layer is causal whatever the memory is. The state is the keys and values of the memory, computed
once.

Use it in a decoder that translates, describes or follows another sequence.

Sources: arXiv:1409.0473 eq. 5; arXiv:1706.03762 §3.2.3.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import SequenceContext, State
from danlu.layers.attention import Derivatives
from danlu.mixers.base import Mixer, by_steps
from danlu.mixers.keys import join_padded
from danlu.mixers.softmax import read, size_of_head, split_heads


class CrossAttention(Mixer):
    """Multi-head attention of each token to `context.memory`.

    Args:
        dim: width of a token.
        heads: number of heads.
        memory_dim: width of the memory; that of a token unless given.
        derivatives: `higher` where the layer is differentiated more than once, or forwards.
    """

    forms = ("parallel", "recurrent")
    honours = frozenset({"embed", "memory"})

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 8,
        memory_dim: int | None = None,
        derivatives: Derivatives = "first",
    ) -> None:
        super().__init__(dim)
        self.derivatives: Derivatives = derivatives
        memory_dim = dim if memory_dim is None else memory_dim
        self.memory_dim = memory_dim
        self.heads = heads
        size_of_head(dim, heads)
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(memory_dim, dim, bias=False)
        self.value = nn.Linear(memory_dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        if form == "recurrent":
            return by_steps(self, x, context, state)
        if state is None:
            state = self._remembered(context)
        state = {name: state[name] for name in ("keys", "values", "positions", "valid")}
        q = split_heads(self.query(x), self.heads)
        assert context.positions is not None
        mask = state["valid"][:, None, None]
        y = read(self.position, q, state, context.positions, mask, self.derivatives)
        return self.output(y.transpose(1, 2).flatten(2)), state

    @override
    def join(self, states: list[State]) -> State:
        return join_padded(states)

    def _remembered(self, context: SequenceContext) -> State:
        """Keys and values of the memory."""
        assert context.memory is not None
        memory, of_memory = context.memory
        placed = of_memory.placed(memory)
        assert placed.order is not None
        everything = torch.ones_like(placed.order, dtype=torch.bool)
        return {
            "keys": self.key(memory).unflatten(-1, (self.heads, -1)),
            "values": self.value(memory).unflatten(-1, (self.heads, -1)),
            "positions": placed.positions,
            "valid": everything if of_memory.valid is None else of_memory.valid,
        }
