r"""Retention (RetNet): linear attention whose memory of each head fades at a fixed rate.

$S_n = \gamma S_{n-1} + k_n v_n^\top$, $o_n = S_n^\top q_n$, with rotated queries and keys; all
at once $O = (Q K^\top \circ D) V$, $D_{nm} = \gamma^{n-m}$. Each head is normalised by itself, then
$Y = W_O(\mathrm{SiLU}(X W_G) \circ \mathrm{norm}(O))$. The rates are $\gamma_h = 1 - 2^{-5-h}$
(`powers`), or $1 - e^{u_h}$ with $u$ spread evenly from $\log 1/32$ to $\log 1/512$ (`spread`);
the angles of the rotation are $10000^{-u}$ with $u$ spread evenly over $[0, 1]$. All maps start as
those of the authors' first code: Xavier's with a gain of $2^{-5/2}$, of $1/2$ for the output.

Use it where generation must be cheap and the horizon of each head is known beforehand.

Sources: arXiv:2307.08621 eq. 5-8.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import silu
from typing_extensions import override

from danlu.contracts import DanluError, State
from danlu.layers.norms import HeadNorm
from danlu.layers.scans import scalar_scan
from danlu.mixers.recurrence import Recurrence, Rows, merge_heads
from danlu.mixers.softmax import size_of_head, split_heads
from danlu.positions.rotary import Rotary

Rates = Literal["powers", "spread"]


class Retention(Recurrence):
    """Multi-scale retention.

    Args:
        dim: width of a token.
        heads: number of heads.
        expand: width of the values in units of dim.
        rates: how the decays are spread over the heads.
    """

    log_decay: Tensor

    def __init__(
        self, dim: int, *, heads: int = 8, expand: int = 2, rates: Rates = "powers"
    ) -> None:
        super().__init__(dim)
        size = size_of_head(dim, heads)
        self.heads = heads
        self.rotary = Rotary(size, layout="interleaved", frequencies=angles(size))
        self.register_buffer("log_decay", log_decays(heads, rates), persistent=False)
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, expand * dim, bias=False)
        self.gate = nn.Linear(dim, expand * dim, bias=False)
        self.norm = HeadNorm(expand * dim, heads)
        self.output = nn.Linear(expand * dim, dim, bias=False)
        for linear in (self.query, self.key, self.value, self.gate):
            nn.init.xavier_uniform_(linear.weight, gain=2**-2.5)
        nn.init.xavier_uniform_(self.output.weight, gain=0.5)

    @override
    def recur(self, x: Tensor, rows: Rows, state: State) -> tuple[Tensor, State]:
        q, k, v = (split_heads(to(x), self.heads) for to in (self.query, self.key, self.value))
        q, k = self.rotary.rotate(q, k, rows.positions, rows.positions)
        k = k / math.sqrt(k.shape[-1])
        y, memory = scalar_scan(
            q, k, v, self.log_decay[None, :, None], state.get("memory"), run=rows.run
        )
        y = silu(self.gate(x)) * self.norm(merge_heads(y))
        return self.output(y), {"memory": memory}


def log_decays(heads: int, rates: Rates) -> Tensor:
    """The logarithm of the decay of each head.

    Raises:
        DanluError: unknown rates.
    """
    if rates == "powers":
        fading = 2.0 ** -(5.0 + torch.arange(heads, dtype=torch.float64))
    elif rates == "spread":
        ends = (math.log(1 / 32), math.log(1 / 512))
        fading = torch.linspace(*ends, heads, dtype=torch.float64).exp()
    else:
        raise DanluError(f"The rates are powers or spread, got {rates!r}.")
    return torch.log1p(-fading).to(torch.get_default_dtype())


def angles(size: int) -> tuple[float, ...]:
    """The angle of each pair for one position: ends included, unlike those of RoPE."""
    return tuple((10_000.0 ** -torch.linspace(0, 1, size // 2, dtype=torch.float64)).tolist())
