r"""Channel mixing of RWKV: a feed-forward layer that sees the token before as well.

$y_t = \sigma(W_r x'_t) \circ W_v\, \mathrm{relu}(W_k x''_t)^2$, where $x'$ and $x''$ are blends
$\mu x_t + (1 - \mu) x_{t-1}$ of the token and the one before it. The layer adds nothing at first:
$W_v = 0$.

Use it beside the time mixing of RWKV-4 (hidden width 4 dim) or RWKV-6 (3.5 dim).

Sources: arXiv:2305.13048 eq. 17-18; arXiv:2404.05892 §4.3.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from typing_extensions import override

from danlu.contracts import State
from danlu.layers.shift import extended
from danlu.mixers.recurrence import Recurrence, Rows
from danlu.mixers.rwkv4 import blended, early_and_late


class RWKVChannels(Recurrence):
    """Channel mixing.

    Args:
        dim: width of a token.
        hidden: width between the maps; 4 dim unless given.
        layer: number of the layer, from 0.
        depth: number of layers.
    """

    forms = ("parallel",)
    companion = None

    def __init__(
        self, dim: int, *, hidden: int | None = None, layer: int = 0, depth: int = 1
    ) -> None:
        super().__init__(dim)
        hidden = 4 * dim if hidden is None else hidden
        ramp = (torch.arange(dim) / dim) ** early_and_late(layer, depth)[0]
        self.key_mix = nn.Parameter(ramp)
        self.receptance_mix = nn.Parameter(ramp.clone())
        self.key = nn.Linear(dim, hidden, bias=False)
        self.value = nn.Linear(hidden, dim, bias=False)
        self.receptance = nn.Linear(dim, dim, bias=False)
        nn.init.orthogonal_(self.key.weight)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.receptance.weight)

    @override
    def recur(self, x: Tensor, rows: Rows, state: State) -> tuple[Tensor, State]:
        longer, last = extended(x, state.get("last"), rows.lengths, 1)
        before = longer[:, :-1]
        k = relu(self.key(blended(x, before, self.key_mix))).square()
        r = self.receptance(blended(x, before, self.receptance_mix))
        return r.sigmoid() * self.value(k), {"last": last}
