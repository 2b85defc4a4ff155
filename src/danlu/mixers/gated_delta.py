r"""Gated DeltaNet: a memory that replaces what it holds under a key, and forgets as it is told.

$S_t = \alpha_t (I - \beta_t k_t k_t^\top) S_{t-1} + \beta_t k_t v_t^\top$,
$o_t = S_t^\top q_t / \sqrt{d}$ with $\beta_t = \sigma(x_t W_\beta)$ and
$\alpha_t = \exp(-A\,\mathrm{softplus}(x_t W_\alpha + b))$. Queries, keys and values pass a short
convolution and SiLU; queries and keys have norm 1. Each head is normalised by its root mean square
and gated by SiLU.

Use it where a state of fixed size must recall well: a new value for a known key costs no room.

Sources: arXiv:2412.06464 eq. 10 and §3.4; arXiv:2406.06484.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus
from typing_extensions import override

from danlu.contracts import State
from danlu.layers.norms import RMSNorm
from danlu.layers.precision import widened
from danlu.layers.scans import delta_scan
from danlu.layers.shift import ShortConvolution
from danlu.mixers.mamba2 import step_bias
from danlu.mixers.recurrence import Recurrence, Rows, merge_heads
from danlu.mixers.softmax import size_of_head, split_heads


class GatedDeltaNet(Recurrence):
    """The gated delta rule.

    Args:
        dim: width of a token.
        heads: number of heads.
        head_dim: size of a key; dim / heads unless given.
        expand: size of a value in units of the key.
        width: length of the convolutions.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 4,
        head_dim: int | None = None,
        expand: int = 2,
        width: int = 4,
    ) -> None:
        super().__init__(dim)
        size = size_of_head(dim, heads) if head_dim is None else head_dim
        key_dim, value_dim = heads * size, heads * size * expand
        self.heads, self.widths = heads, [key_dim, key_dim, value_dim]
        self.input = nn.Linear(dim, sum(self.widths), bias=False)
        self.convolution = ShortConvolution(sum(self.widths), width, bias=False)
        self.strength = nn.Linear(dim, heads, bias=False)
        self.pace = nn.Linear(dim, heads, bias=False)
        self.step_bias = nn.Parameter(step_bias(heads))
        self.log_rate = nn.Parameter(torch.empty(heads).uniform_(1e-4, 16).log())
        self.gate = nn.Linear(dim, value_dim, bias=False)
        self.norm = RMSNorm(size * expand)
        self.output = nn.Linear(value_dim, dim, bias=False)

    @override
    def recur(self, x: Tensor, rows: Rows, state: State) -> tuple[Tensor, State]:
        mixed, last = self.convolution(self.input(x), state.get("last"), rows.lengths)
        parts = silu(mixed).split(self.widths, dim=-1)
        q, k, v = (split_heads(part, self.heads) for part in parts)
        log_decay = -self.log_rate.exp() * softplus(self.pace(x) + self.step_bias)
        y, memory = delta_scan(
            unit(q) / math.sqrt(q.shape[-1]),
            unit(k),
            v,
            self.strength(x).sigmoid().transpose(1, 2),
            log_decay.transpose(1, 2),
            state.get("memory"),
            run=rows.run,
        )
        y = merge_heads(self.norm(y)) * silu(self.gate(x))
        return self.output(y), {"memory": memory, "last": last}


def unit(x: Tensor) -> Tensor:
    """Vectors of norm 1; those of nearly none stay short."""
    # The slope of the root is up to 1e9 / 2, which float16 cannot hold.
    size = (widened(x).square().sum(-1, keepdim=True) + 1e-6).rsqrt()
    return (x * size).to(x.dtype)
