r"""RWKV-4: a mean of the past whose weights fade by channel, gated by a receptance.

Each map reads a blend of the token and the one before it, $\mu x_t + (1 - \mu) x_{t-1}$. With
$w = e^{\text{decay}} > 0$ and $u$ for each channel,

$$\mathrm{wkv}_t = \frac{\sum_{i<t} e^{-(t-1-i) w + k_i} v_i + e^{u + k_t} v_t}
{\sum_{i<t} e^{-(t-1-i) w + k_i} + e^{u + k_t}}, \qquad
y_t = W_o (\sigma(r_t) \circ \mathrm{wkv}_t).$$

Use it to read models of that kind; RWKV-6 has a memory of products instead of means.

Sources: arXiv:2305.13048 eq. 11-16 and appendix E (initialisation).
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import State
from danlu.layers.scans import Mean, mean_scan
from danlu.layers.shift import extended
from danlu.mixers.recurrence import Recurrence, Rows


class RWKV4(Recurrence):
    """Time mixing of RWKV-4.

    Args:
        dim: width of a token.
        layer: number of the layer, from 0; later layers start with longer memories.
        depth: number of layers.
    """

    companion = "rwkv-channels"

    def __init__(self, dim: int, *, layer: int = 0, depth: int = 1) -> None:
        super().__init__(dim)
        early, late = early_and_late(layer, depth)
        ramp = (torch.arange(dim) / dim) ** early
        self.key_mix = nn.Parameter(ramp)
        self.value_mix = nn.Parameter(ramp + 0.3 * late)
        self.receptance_mix = nn.Parameter(ramp**0.5)
        self.decay = nn.Parameter(decay_speed(dim, late, -5.0, 3.0))
        zigzag = 0.5 * ((torch.arange(dim) + 1) % 3 - 1)
        self.bonus = nn.Parameter(zigzag + torch.tensor(0.3).log())
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.receptance = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)

    @override
    def recur(self, x: Tensor, rows: Rows, state: State) -> tuple[Tensor, State]:
        longer, last = extended(x, state.get("last"), rows.lengths, 1)
        before = longer[:, :-1]
        k = self.key(blended(x, before, self.key_mix))
        v = self.value(blended(x, before, self.value_mix))
        r = self.receptance(blended(x, before, self.receptance_mix))
        memory = Mean(*state["memory"]) if state else None
        y, memory = mean_scan(k, v, -self.decay.exp(), self.bonus, memory, run=rows.run)
        return self.output(r.sigmoid() * y), {"memory": list(memory), "last": last}


def blended(x: Tensor, before: Tensor, share: Tensor) -> Tensor:
    """A share of the token and the rest of the one before it."""
    return torch.lerp(before, x, share.to(x.dtype))


def early_and_late(layer: int, depth: int) -> tuple[float, float]:
    """From 1 almost to 0, and from 0 to 1, over the layers of a stack."""
    return 1 - layer / depth, layer / max(depth - 1, 1)


def decay_speed(dim: int, late: float, low: float, high: float) -> Tensor:
    """Logarithms of decays spread over the channels, more unequal in later layers."""
    place = torch.arange(dim) / max(dim - 1, 1)
    return low + (high - low) * place ** (0.7 + 1.3 * late)
