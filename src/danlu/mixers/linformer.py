r"""Linformer: keys and values of a sequence of fixed length are projected to fewer.

$O = \mathrm{softmax}(Q (E K)^\top / \sqrt d)\, F V$ with trained $E, F \in R^{k \times n}$, shared
by the heads and drawn from $U(-1/\sqrt k, 1/\sqrt k)$: the cost is $n k$. Every projected key is a
mixture of all tokens, so there is no past to look at, and the length is part of the layer.

Use it in encoders for sequences of one known length.

Sources: arXiv:2006.04768 eq. 7.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext, State
from danlu.layers.attention import attend
from danlu.mixers.base import Mixer
from danlu.mixers.softmax import size_of_head, split_heads
from danlu.positions.base import PositionEncoding

_MIXED = "a projected key is a mixture of tokens and has no position."


class Linformer(Mixer):
    """Multi-head attention to `keys` mixtures of the `length` tokens."""

    causal = False
    refusals: ClassVar[dict[str, str]] = dict.fromkeys(("rotate", "bias", "values"), _MIXED)

    def __init__(
        self,
        dim: int,
        *,
        length: int,
        keys: int = 64,
        heads: int = 8,
        position: PositionEncoding | None = None,
    ) -> None:
        super().__init__(dim, position=position)
        size_of_head(dim, heads)
        self.length, self.heads = length, heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)
        bound = 1 / math.sqrt(keys)
        self.mix_keys = nn.Parameter(torch.empty(keys, length).uniform_(-bound, bound))
        self.mix_values = nn.Parameter(torch.empty(keys, length).uniform_(-bound, bound))

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        # A graph cannot look at values; there padding is mixed in like any token.
        if context.valid is not None and not torch.compiler.is_compiling():
            short = int(context.valid.sum(1).min()) if len(x) else self.length
            if short != self.length:
                raise DanluError(
                    f"Linformer takes {self.length} tokens without padding, a row has {short}."
                )
        q = split_heads(self.query(x), self.heads)
        k = split_heads(self.mix_keys @ self.key(x), self.heads)
        v = split_heads(self.mix_values @ self.value(x), self.heads)
        return self.output(attend(q, k, v).transpose(1, 2).flatten(2)), {}
