"""Definitions of the networks that go token by token: RNN, LSTM, GRU, RWKV, Mamba."""

from functools import partial

import torch
from torch import Tensor

from danlu.laws.mixers.definitions import Weights, definition, sigmoid, silu, softplus
from danlu.laws.mixers.definitions_attention import mapped
from danlu.laws.mixers.definitions_fading import convolved
from danlu.laws.mixers.definitions_linear import LONG
from danlu.mixers.mamba import Mamba
from danlu.mixers.rwkv4 import RWKV4
from danlu.mixers.rwkv6 import RWKV6


def _gates(w: Weights, x: Tensor, h: Tensor, count: int) -> tuple[list[Tensor], list[Tensor]]:
    """What the token and the state give to each gate."""
    by_token = x @ w["network.weight_ih_l0"].T + w["network.bias_ih_l0"]
    by_state = h @ w["network.weight_hh_l0"].T + w["network.bias_hh_l0"]
    return list(by_token.chunk(count, -1)), list(by_state.chunk(count, -1))


def rnn(w: Weights, x: Tensor) -> Tensor:
    """h_t = tanh(W x_t + U h_(t-1) + b)."""
    h, rows = x.new_zeros(len(x), w["network.weight_hh_l0"].shape[1]), []
    for token in x.unbind(1):
        (a,), (b,) = _gates(w, token, h, 1)
        h = (a + b).tanh()
        rows.append(h)
    return mapped(w, "output", torch.stack(rows, dim=1))


def lstm(w: Weights, x: Tensor) -> Tensor:
    """c_t = f c_(t-1) + i tanh(.), h_t = o tanh(c_t)."""
    h = cell = x.new_zeros(len(x), w["network.weight_hh_l0"].shape[1])
    rows = []
    for token in x.unbind(1):
        by_token, by_state = _gates(w, token, h, 4)
        take, forget, new, show = (a + b for a, b in zip(by_token, by_state, strict=True))
        cell = sigmoid(forget) * cell + sigmoid(take) * new.tanh()
        h = sigmoid(show) * cell.tanh()
        rows.append(h)
    return mapped(w, "output", torch.stack(rows, dim=1))


def gru(w: Weights, x: Tensor) -> Tensor:
    """h_t = z h_(t-1) + (1 - z) tanh(W x_t + b + r (U h_(t-1) + b'))."""
    h, rows = x.new_zeros(len(x), w["network.weight_hh_l0"].shape[1]), []
    for token in x.unbind(1):
        (reset, keep, new), (reset_h, keep_h, new_h) = _gates(w, token, h, 3)
        z = sigmoid(keep + keep_h)
        h = z * h + (1 - z) * (new + sigmoid(reset + reset_h) * new_h).tanh()
        rows.append(h)
    return mapped(w, "output", torch.stack(rows, dim=1))


def before(x: Tensor) -> Tensor:
    """The token before each, zeros before the first."""
    return torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)


def rwkv4(w: Weights, x: Tensor) -> Tensor:
    """Means with weights e^{k_i - (t-1-i) e^decay}, e^{u + k_t} on the token itself."""

    def blend(name: str) -> Tensor:
        share = w[f"{name}_mix"]
        return mapped(w, name, share * x + (1 - share) * before(x))

    k, v, r = (blend(name) for name in ("key", "value", "receptance"))
    rows = []
    for t in range(x.shape[1]):
        given = [(-(t - 1 - i) * w["decay"].exp() + k[:, i]).exp() for i in range(t)]
        given.append((w["bonus"] + k[:, t]).exp())
        total = sum(power * v[:, i] for i, power in enumerate(given))
        rows.append(sigmoid(r[:, t]) * total / sum(given))
    return mapped(w, "output", torch.stack(rows, dim=1))


def rwkv6(heads: int, w: Weights, x: Tensor) -> Tensor:
    """o_t = r_t (S_(t-1) + diag(u) k_t v_t), S_t = diag(w_t) S_(t-1) + k_t v_t."""
    change, size = before(x) - x, x.shape[-1] // heads
    hidden = ((x + change * w["first_share"]) @ w["share_down"]).tanh().chunk(5, dim=-1)
    blends = [
        x + change * (w["shares"][n] + hidden[n] @ w["share_up"][n]) for n in range(5)
    ]  # of decay, key, value, receptance and gate
    speed = w["decay"] + (blends[0] @ w["decay_down"]).tanh() @ w["decay_up"]
    fading = (-speed.exp()).exp()
    k, v, r = (
        mapped(w, n, x) for n, x in zip(("key", "value", "receptance"), blends[1:4], strict=True)
    )
    found = []
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        state, rows = x.new_zeros(len(x), size, size), []
        for t in range(x.shape[1]):
            new = k[:, t, part, None] * v[:, t, None, part]
            rows.append(
                torch.einsum("bd,bde->be", r[:, t, part], state + w["bonus"][h][:, None] * new)
            )
            state = fading[:, t, part, None] * state + new
        y = torch.stack(rows, dim=1)
        y = y - y.mean(-1, keepdim=True)
        found.append(y / (y.square().mean(-1, keepdim=True) + 64e-5).sqrt())
    y = torch.cat(found, dim=-1) * w["norm.gain"] + w["norm.shift"]
    return mapped(w, "output", y * silu(mapped(w, "gate", blends[4])))


def rwkv_channels(w: Weights, x: Tensor) -> Tensor:
    """The product of sigma(W_r x') and W_v relu(W_k x'')^2."""
    read, seen = (
        w[f"{name}_mix"] * x + (1 - w[f"{name}_mix"]) * before(x) for name in ("receptance", "key")
    )
    wide = mapped(w, "key", seen).clamp(min=0) ** 2
    return sigmoid(mapped(w, "receptance", read)) * mapped(w, "value", wide)


def mamba(states: int, w: Weights, x: Tensor) -> Tensor:
    """h_t = e^(Delta A) h_(t-1) + Delta x_t B_t, y_t = h_t C_t + D x_t (arXiv:2312.00752)."""
    x, z = mapped(w, "inward", x).chunk(2, dim=-1)
    x = convolved(w, x)
    rank = w["delta.weight"].shape[1]
    few, write, read = mapped(w, "select", x).split([rank, states, states], dim=-1)
    delta = softplus(mapped(w, "delta", few))
    h, rows = x.new_zeros(len(x), x.shape[-1], states), []
    for t in range(x.shape[1]):
        d = delta[:, t, :, None]
        h = (-d * w["log_rate"].exp()).exp() * h + d * x[:, t, :, None] * write[:, t, None]
        rows.append((h * read[:, t, None]).sum(-1) + w["skip"] * x[:, t])
    return mapped(w, "output", torch.stack(rows, dim=1) * silu(z))


LAWS = [
    definition("rnn", rnn),
    definition("lstm", lstm),
    definition("gru", gru),
    definition(
        "rwkv4",
        rwkv4,
        ("a later layer", partial(RWKV4, 6, layer=1, depth=3), rwkv4),
        lengths=(9, 37),
    ),
    definition(
        "rwkv6",
        partial(rwkv6, 2),
        ("one head", partial(RWKV6, 6, heads=1, mix_rank=3, decay_rank=2), partial(rwkv6, 1)),
        lengths=LONG,
    ),
    definition("rwkv-channels", rwkv_channels),
    definition(
        "mamba",
        partial(mamba, 3),
        ("rank 2", partial(Mamba, 4, states=2, rank=2, width=3, expand=1), partial(mamba, 2)),
        lengths=LONG,
    ),
]
