r"""RWKV-6 (Finch): a memory of products with a data-dependent decay for each feature of the key.

$S_t = \operatorname{diag}(w_t) S_{t-1} + k_t v_t^\top$,
$o_t = (S_{t-1} + \operatorname{diag}(u) k_t v_t^\top)^\top r_t$ with
$w_t = \exp(-e^{\lambda + \tanh(x^w_t A) B})$. The inputs $x^w, x^k, x^v, x^r, x^g$ of the maps are
blends of the token and the one before it, whose shares depend on the token by thin maps:
$x_t + (x_{t-1} - x_t) \circ (\mu + \tanh(\bar x_t A') B')$. Heads are normalised by themselves and
gated by SiLU. At first the maps are orthogonal, those of keys and gates a tenth of that, the output
is zero, and the gain of the norm grows with the layer.

Use it as a recurrent layer with a larger memory than RWKV-4's.

Sources: arXiv:2404.05892 eq. 10-19; starting values of the authors' code (RWKV-v5, x060).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import silu
from typing_extensions import override

from danlu.contracts import State
from danlu.layers.norms import HeadNorm
from danlu.layers.scans import vector_scan
from danlu.layers.shift import extended
from danlu.mixers.recurrence import Recurrence, Rows, merge_heads
from danlu.mixers.rwkv4 import decay_speed, early_and_late
from danlu.mixers.softmax import size_of_head, split_heads
from danlu.optim.parameters import Rule, without_decay

BLENDS = 5
"""Inputs of decay, key, value, receptance and gate."""
EPSILON = 64e-5


class RWKV6(Recurrence):
    """Time mixing of RWKV-6.

    Args:
        dim: width of a token.
        heads: number of heads.
        layer: number of the layer, from 0; later layers start with longer memories.
        depth: number of layers.
        mix_rank: width between the two maps of a blend.
        decay_rank: width between the two maps of the decay.
    """

    companion = "rwkv-channels"

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 8,
        layer: int = 0,
        depth: int = 1,
        mix_rank: int = 32,
        decay_rank: int = 64,
    ) -> None:
        super().__init__(dim)
        self.heads = heads
        size = size_of_head(dim, heads)
        early, late = early_and_late(layer, depth)
        ramp = (torch.arange(dim) / dim) ** early
        shares = [1 - ramp, 1 - ramp, 1 - ramp - 0.3 * late, 1 - ramp**0.5, 1 - ramp**0.5]
        self.first_share = nn.Parameter(1 - ramp)
        self.shares = nn.Parameter(torch.stack(shares))
        self.share_down = nn.Parameter(torch.zeros(dim, BLENDS * mix_rank))
        self.share_up = nn.Parameter(torch.empty(BLENDS, mix_rank, dim).uniform_(-0.01, 0.01))
        self.decay = nn.Parameter(decay_speed(dim, late, -6.0, -1.0))
        self.decay_down = nn.Parameter(torch.zeros(dim, decay_rank))
        self.decay_up = nn.Parameter(torch.empty(decay_rank, dim).uniform_(-0.01, 0.01))
        index = torch.arange(dim)
        bonus = late * (1 - index / max(dim - 1, 1)) + 0.1 * ((index + 1) % 3 - 1)
        self.bonus = nn.Parameter(bonus.reshape(heads, size))
        self.key, self.value, self.receptance, self.gate, self.output = (
            nn.Linear(dim, dim, bias=False) for _ in range(5)
        )
        self.norm = HeadNorm(dim, heads, epsilon=EPSILON)
        for linear, gain in ((self.receptance, 1.0), (self.value, 1.0), (self.key, 0.1)):
            nn.init.orthogonal_(linear.weight, gain)
        nn.init.orthogonal_(self.gate.weight, 0.1)
        nn.init.zeros_(self.output.weight)
        nn.init.constant_(self.norm.gain, ((1 + layer) / depth) ** 0.7)

    def parameter_rules(self) -> dict[str, Rule]:
        """Shares of the token before and the bonus of the present one are no maps."""
        return without_decay("shares", "bonus")

    @override
    def recur(self, x: Tensor, rows: Rows, state: State) -> tuple[Tensor, State]:
        longer, last = extended(x, state.get("last"), rows.lengths, 1)
        for_decay, for_key, for_value, for_receptance, for_gate = self._blends(x, longer[:, :-1])
        speed = self.decay + (for_decay @ self.decay_down).tanh() @ self.decay_up
        maps = (self.receptance(for_receptance), self.key(for_key), self.value(for_value))
        q, k, v, log_decay = (split_heads(part, self.heads) for part in (*maps, -speed.exp()))
        y, memory = vector_scan(
            q,
            k,
            v,
            log_decay,
            state.get("memory"),
            bonus=self.bonus,
            run=rows.run,
        )
        y = self.norm(merge_heads(y)) * silu(self.gate(for_gate))
        return self.output(y), {"memory": memory, "last": last}

    def _blends(self, x: Tensor, before: Tensor) -> tuple[Tensor, ...]:
        """The inputs of the five maps."""
        change = before - x
        hidden = ((x + change * self.first_share) @ self.share_down).tanh()
        by_map = hidden.unflatten(-1, (BLENDS, -1))[..., None, :] @ self.share_up
        shares = self.shares + by_map[..., 0, :]  # [batch, length, blends, dim]
        return (x[..., None, :] + change[..., None, :] * shares).unbind(-2)
