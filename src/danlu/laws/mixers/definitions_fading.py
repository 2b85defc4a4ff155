"""Definitions of the recurrences whose state is a matrix: retention, gated memories, Mamba-2."""

import math
from functools import partial

import torch
from torch import Tensor

from danlu.laws.mixers.definitions import Weights, definition, silu, softplus
from danlu.laws.mixers.definitions_attention import mapped
from danlu.laws.mixers.definitions_linear import LONG, rms, turned
from danlu.mixers.gated_delta import GatedDeltaNet
from danlu.mixers.gated_linear import GatedLinearAttention
from danlu.mixers.mamba2 import Mamba2
from danlu.mixers.retention import Retention


def retention(fading: list[float], w: Weights, x: Tensor) -> Tensor:
    """W_O (SiLU(X W_G) * GroupNorm(sum of gamma^(n-m) q_n k_m v_m)) (arXiv:2307.08621)."""
    heads, n = len(fading), x.shape[1]
    parts = zip(
        fading,
        *(mapped(w, name, x).chunk(heads, -1) for name in ("query", "key", "value")),
        strict=True,
    )
    found = []
    for gamma, q, k, v in parts:
        size = q.shape[-1]
        # The ends of the exponent are 0 and 1, as in the authors' code.
        theta = [10_000.0 ** -(pair / (size // 2 - 1)) for pair in range(size // 2)]
        q, k = (turned(part, theta, apart=False) for part in (q, k))
        state, rows = x.new_zeros(len(x), size, v.shape[-1]), []
        for t in range(n):
            state = gamma * state + k[:, t, :, None] * v[:, t, None] / math.sqrt(size)
            rows.append(torch.einsum("bd,bde->be", q[:, t], state))
        y = torch.stack(rows, dim=1)
        centred = y - y.mean(-1, keepdim=True)
        found.append(centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt())
    y = torch.cat(found, dim=-1) * w["norm.gain"] + w["norm.shift"]
    return mapped(w, "output", silu(mapped(w, "gate", x)) * y)


def rescaled_retention(fading: list[float], w: Weights, x: Tensor) -> Tensor:
    """All at once with the paper's three rescalings (§2.1), which a norm without epsilon undoes."""
    found = []
    names = ("query", "key", "value")
    for gamma, *parts in zip(
        fading, *(mapped(w, name, x).chunk(len(fading), -1) for name in names), strict=True
    ):
        q, k, v = parts
        size, steps = q.shape[-1], range(x.shape[1])
        theta = [10_000.0 ** -(pair / (size // 2 - 1)) for pair in range(size // 2)]
        q, k = (turned(part, theta, apart=False) for part in (q, k))
        left = torch.tensor([[gamma ** (n - m) if m <= n else 0.0 for m in steps] for n in steps])
        left = left / left.sum(-1, keepdim=True).sqrt()
        scores = torch.einsum("bnd,bmd->bnm", q, k) / math.sqrt(size) * left
        scores = scores / scores.sum(-1, keepdim=True).abs().clamp(min=1)
        y = torch.einsum("bnm,bme->bne", scores, v)
        y = y - y.mean(-1, keepdim=True)
        found.append(y / y.square().mean(-1, keepdim=True).sqrt())
    y = torch.cat(found, dim=-1) * w["norm.gain"] + w["norm.shift"]
    return mapped(w, "output", silu(mapped(w, "gate", x)) * y)


def _without_epsilon() -> Retention:
    layer = Retention(8, heads=2)
    layer.norm.epsilon = 0.0
    return layer


def gated_linear(heads: int, w: Weights, x: Tensor) -> Tensor:
    """S_t = diag(alpha_t) S_(t-1) + k_t v_t, alpha = sigma(x W1 W2 + b)^(1/16)."""
    logit = x @ w["decay.0.weight"].T @ w["decay.1.weight"].T + w["decay.1.bias"]
    alpha = (1 / (1 + (-logit).exp())) ** (1 / 16)
    parts = (*(mapped(w, name, x) for name in ("query", "key", "value")), alpha)
    found = []
    for q, k, v, a in zip(*(part.chunk(heads, -1) for part in parts), strict=True):
        state, rows = x.new_zeros(len(x), q.shape[-1], v.shape[-1]), []
        for t in range(x.shape[1]):
            state = a[:, t, :, None] * state + k[:, t, :, None] * v[:, t, None]
            rows.append(torch.einsum("bd,bde->be", q[:, t] / math.sqrt(q.shape[-1]), state))
        found.append(rms(torch.stack(rows, dim=1), w["norm.gain"]))
    return mapped(w, "output", torch.cat(found, dim=-1) * silu(mapped(w, "gate", x)))


def convolved(w: Weights, x: Tensor) -> Tensor:
    """A causal filter for each channel, its last tap on the token itself, and SiLU."""
    taps = w["convolution.weight"]
    width, rows = taps.shape[1], []
    for t in range(x.shape[1]):
        seen = [(tap, t - (width - 1 - tap)) for tap in range(width)]
        rows.append(sum((taps[:, tap] * x[:, s] for tap, s in seen if s >= 0), 0 * x[:, 0]))
    return silu(torch.stack(rows, dim=1) + w.get("convolution.bias", 0.0))


def gated_delta(heads: int, size: int, w: Weights, x: Tensor) -> Tensor:
    """S_t = alpha_t (I - beta_t k k^T) S_(t-1) + beta_t k v^T (arXiv:2412.06464 eq. 10)."""
    wide = w["gate.weight"].shape[0]
    parts = convolved(w, mapped(w, "input", x)).split([heads * size, heads * size, wide], dim=-1)
    beta = 1 / (1 + (-mapped(w, "strength", x)).exp())
    alpha = (-w["log_rate"].exp() * softplus(mapped(w, "pace", x) + w["step_bias"])).exp()
    found = []
    for h, (q, k, v) in enumerate(zip(*(part.chunk(heads, -1) for part in parts), strict=True)):
        q, k = (part / (part.square().sum(-1, keepdim=True) + 1e-6).sqrt() for part in (q, k))
        state, rows = x.new_zeros(len(x), size, v.shape[-1]), []
        for t in range(x.shape[1]):
            a, b = alpha[:, t, h, None, None], beta[:, t, h, None, None]
            outer = k[:, t, :, None] * k[:, t, None]
            state = a * (torch.eye(size) - b * outer) @ state + b * k[:, t, :, None] * v[:, t, None]
            rows.append(torch.einsum("bd,bde->be", q[:, t], state) / math.sqrt(size))
        found.append(rms(torch.stack(rows, dim=1), w["norm.gain"]))
    return mapped(w, "output", torch.cat(found, dim=-1) * silu(mapped(w, "gate", x)))


def mamba2(states: int, size: int, groups: int, w: Weights, x: Tensor) -> Tensor:
    """S_t = e^(Delta A) S_(t-1) + Delta B x^T, y = C S + D x (arXiv:2405.21060)."""
    inner, heads = w["output.weight"].shape[1], len(w["log_rate"])
    z, mixed, step = mapped(w, "input", x).split([inner, inner + 2 * groups * states, heads], -1)
    value, write, read = convolved(w, mixed).split([inner, groups * states, groups * states], -1)
    delta = softplus(step + w["step_bias"])
    found = []
    for h, v in enumerate(value.chunk(heads, -1)):
        b, c = (part.chunk(groups, -1)[h * groups // heads] for part in (write, read))
        state, rows = x.new_zeros(len(x), states, size), []
        for t in range(x.shape[1]):
            d = delta[:, t, h, None, None]
            state = (-d * w["log_rate"][h].exp()).exp() * state + d * b[:, t, :, None] * v[
                :, t, None
            ]
            rows.append(torch.einsum("bn,bne->be", c[:, t], state) + w["skip"][h] * v[:, t])
        found.append(torch.stack(rows, dim=1))
    y = torch.cat(found, dim=-1) * silu(z)
    normed = [
        rms(part, gain)
        for part, gain in zip(y.chunk(groups, -1), w["norm.gain"].chunk(groups), strict=True)
    ]
    return mapped(w, "output", torch.cat(normed, dim=-1))


POWERS = [1 - 2.0**-5, 1 - 2.0**-6]
SPREAD = [1 - 1 / 32, 1 - 1 / 128, 1 - 1 / 512]

LAWS = [
    definition(
        "retention",
        partial(retention, POWERS),
        (
            "spread",
            partial(Retention, 12, heads=3, rates="spread", expand=1),
            partial(retention, SPREAD),
        ),
        ("rescaled", _without_epsilon, partial(rescaled_retention, POWERS)),
        lengths=LONG,
    ),
    definition(
        "gated-linear",
        partial(gated_linear, 2),
        (
            "one head",
            partial(GatedLinearAttention, 8, heads=1, key_dim=6, rank=3),
            partial(gated_linear, 1),
        ),
        lengths=LONG,
    ),
    definition(
        "gated-delta",
        partial(gated_delta, 2, 4),
        (
            "one head",
            partial(GatedDeltaNet, 8, heads=1, head_dim=3, width=2),
            partial(gated_delta, 1, 3),
        ),
        lengths=LONG,
    ),
    definition(
        "mamba2",
        partial(mamba2, 3, 4, 1),
        (
            "groups",
            partial(Mamba2, 8, state_size=3, head_dim=4, groups=2, width=3),
            partial(mamba2, 3, 4, 2),
        ),
        lengths=LONG,
    ),
]
