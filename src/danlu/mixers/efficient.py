r"""Efficient attention: $\mathrm{softmax}_d(Q)\, (\mathrm{softmax}_n(K)^\top V)$, on both sides.

Queries are a softmax over their features and keys over the tokens, so that the weights of each
token sum to 1 without a division. The second softmax sees all tokens: there is no causal form.
The causal relative is linear attention with the exponential feature map.

Use it in encoders of long sequences.

Sources: arXiv:1812.01243 eq. 5; kexue.fm/archives/7546.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import SequenceContext, State
from danlu.layers.scans.chunks import shaped, silenced
from danlu.mixers.base import Mixer
from danlu.mixers.recurrence import merge_heads
from danlu.mixers.softmax import size_of_head, split_heads


class EfficientAttention(Mixer):
    """A softmax over the features of queries, and one over the tokens for each feature of keys.

    Args:
        dim: width of a token.
        heads: number of heads.
    """

    causal = False

    def __init__(self, dim: int, *, heads: int = 8) -> None:
        super().__init__(dim)
        size_of_head(dim, heads)
        self.heads = heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        q, k, v = (split_heads(to(x), self.heads) for to in (self.query, self.key, self.value))
        valid = context.valid
        if valid is not None:
            k = k.masked_fill(~shaped(valid, k), torch.finfo(k.dtype).min)
        k = silenced(k.softmax(2), valid)
        return self.output(merge_heads(q.softmax(-1) @ (k.transpose(-2, -1) @ v))), {}
