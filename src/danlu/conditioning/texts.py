r"""Texts as tokens that see one another, and as their mean.

A transformer that sees both sides reads the tokens behind a first one of its own, which is there
when nothing else is: a text that was left out is that token alone. Networks attend to what it says
of every token; the vector is linear in the mean of what it says.

Sources: arXiv:1706.03762 §3.1 (the encoder), arXiv:2112.10752 §3.3 (tokens of a text by
cross-attention), arXiv:2207.12598 (the null condition).
"""

import torch
from torch import nn
from typing_extensions import override

from danlu.backbones.transformer import Transformer, transformer_block
from danlu.conditioning.conditioner import Conditioner
from danlu.contracts import Condition, DanluError, Features, SequenceContext, Tokens
from danlu.positions.learned import SPREAD, Learned

DEPTH = 1
"""Blocks of the transformer."""
HEAD_DIM = 16

TINY = Tokens(4, 5)


class TokenEncoder(Conditioner):
    """A small transformer over at most `length` tokens.

    Args:
        length: most tokens of a text.
        vocabulary: number of ids.
        dim: size of the vector and of what is said of each token.
    """

    tokens = True

    def __init__(self, length: int, vocabulary: int, dim: int) -> None:
        super().__init__(dim)
        self.length = length
        heads = max(1, dim // HEAD_DIM)
        heads = heads if dim % heads == 0 else 1
        block = transformer_block(heads, causal=False)
        self.stack = Transformer(dim, DEPTH, block, position=Learned(dim, length + 1))
        self.table = nn.Embedding(vocabulary + 1, dim)
        self.leave = nn.Linear(dim, dim)
        nn.init.normal_(self.table.weight, std=SPREAD)

    @override
    def forward(self, condition: Condition | None, n: int) -> Features:
        device, null = self.table.weight.device, self.table.num_embeddings - 1
        first = torch.full((n, 1), null, device=device)
        here = torch.ones(n, 1, dtype=torch.bool, device=device)
        if condition is None:
            return self._read(first, here)
        ids = condition.values
        if not isinstance(ids, torch.Tensor) or ids.ndim != 2:
            raise DanluError("Tokens are expected, and the condition is of another kind.")
        valid = torch.ones_like(ids, dtype=torch.bool)
        valid = valid if condition.valid is None else condition.valid
        valid = valid & condition.present[:, None]
        return self._read(torch.cat([first, ids], dim=1), torch.cat([here, valid], dim=1))

    def _read(self, ids: torch.Tensor, valid: torch.Tensor) -> Features:
        tokens, _ = self.stack(self.table(ids), SequenceContext(valid=valid))
        said = tokens.masked_fill(~valid[..., None], 0.0)
        mean = said.sum(1) / valid.sum(1, keepdim=True)
        return Features(self.leave(mean), said, valid)

    @override
    def silence(self) -> None:
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)


def build(kind: Tokens = TINY, dim: int = 8) -> TokenEncoder:
    """An encoder of texts of at most a length."""
    return TokenEncoder(kind.length, kind.vocabulary, dim)
