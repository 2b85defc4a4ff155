r"""Gated linear attention (GLA): each feature of the key forgets at a rate that the token sets.

$S_t = \operatorname{diag}(\alpha_t) S_{t-1} + k_t v_t^\top$, $o_t = S_t^\top q_t / \sqrt{d}$, with
$\alpha_t = \sigma(W_2 W_1 x_t + b)^{1/16}$ from a thin pair of maps. Each head is normalised by its
root mean square and gated by $\mathrm{SiLU}(x_t W_g)$. The maps of queries, keys and decays start
small (Xavier's with a gain of $2^{-5/2}$), those of values and outputs as any linear map.

Use it where what to forget depends on the content; its chunks cost more than those of a decay for
each head.

Sources: arXiv:2312.06635 §4.4, eq. 3.
"""

import math
from typing import cast

from torch import Tensor, nn
from torch.nn.functional import logsigmoid, silu
from typing_extensions import override

from danlu.contracts import State
from danlu.layers.norms import RMSNorm
from danlu.layers.scans import vector_scan
from danlu.mixers.recurrence import Recurrence, Rows, merge_heads
from danlu.mixers.softmax import size_of_head, split_heads

TEMPERATURE = 16.0
"""Divides the logarithm of the decay."""


class GatedLinearAttention(Recurrence):
    """Linear attention with a decay for each feature of the key.

    Args:
        dim: width of a token.
        heads: number of heads.
        key_dim: width of all keys; dim / 2 unless given.
        rank: width between the two maps of the decay.
    """

    def __init__(
        self, dim: int, *, heads: int = 4, key_dim: int | None = None, rank: int = 16
    ) -> None:
        super().__init__(dim)
        key_dim = dim // 2 if key_dim is None else key_dim
        self.heads, self.key_size = heads, size_of_head(key_dim, heads)
        self.query = nn.Linear(dim, key_dim, bias=False)
        self.key = nn.Linear(dim, key_dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.gate = nn.Linear(dim, dim, bias=False)
        self.decay = nn.Sequential(nn.Linear(dim, rank, bias=False), nn.Linear(rank, key_dim))
        self.norm = RMSNorm(size_of_head(dim, heads))
        self.output = nn.Linear(dim, dim, bias=False)
        for linear in (self.query, self.key, *self.decay):
            nn.init.xavier_uniform_(cast(nn.Linear, linear).weight, gain=2**-2.5)

    @override
    def recur(self, x: Tensor, rows: Rows, state: State) -> tuple[Tensor, State]:
        log_decay = logsigmoid(self.decay(x)) / TEMPERATURE
        parts = (self.query(x), self.key(x), self.value(x), log_decay)
        q, k, v, log_decay = (split_heads(part, self.heads) for part in parts)
        y, memory = vector_scan(
            q / math.sqrt(self.key_size),
            k,
            v,
            log_decay,
            state.get("memory"),
            run=rows.run,
        )
        return self.output(merge_heads(self.norm(y)) * silu(self.gate(x))), {"memory": memory}
