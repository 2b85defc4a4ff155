"""Definitions of the gated attention unit, FLASH, Transformer-VQ and FNet: sums over pairs."""

import itertools
import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from danlu.laws.gaps import gap
from danlu.laws.mixers.definitions import Formula, Row, Weights, definition, silu
from danlu.mixers import MIXERS
from danlu.mixers.flash import FLASH
from danlu.mixers.fnet import FNet
from danlu.mixers.gau import GAU
from danlu.mixers.transformer_vq import TransformerVQ
from danlu.positions.alibi import ALiBi

SLOPE = 2.0**-8
"""Of ALiBi with one head."""


def parts(w: Weights, x: Tensor, size: int) -> tuple[Tensor, Tensor, list[Tensor]]:
    """SiLU of one linear map: gate, values, and one vector that each gain and shift turns."""
    wide = (w["gates.inward.weight"].shape[0] - size) // 2
    gate, value, shared = silu(x @ w["gates.inward.weight"].T).split([wide, wide, size], dim=-1)
    pairs = zip(w["gates.gain"], w["gates.shift"], strict=True)
    return gate, value, [gain * shared + shift for gain, shift in pairs]


def weight(kind: str, scores: Tensor, bias: Tensor, n: int, size: int) -> Tensor:
    """The weights of the keys that a token sees, from plain products and a bias."""
    if kind == "scaled":
        return (scores / math.sqrt(size) + bias).clamp(min=0) ** 2 / n
    if kind == "mean":
        return (scores / n + bias).clamp(min=0) ** 2
    if kind == "summed":
        return ((scores + bias) / n).clamp(min=0) ** 2
    factor = math.log(n, 512) if kind == "softmax-plus" else 1.0
    power = (factor * scores / math.sqrt(size) + bias).exp()
    return power / power.sum(-1, keepdim=True)


def gau(
    kind: str,
    w: Weights,
    x: Tensor,
    *,
    size: int = 4,
    causal: bool = True,
    slope: float = 0.0,
    divisor: int | None = None,
) -> Tensor:
    """O = (U * A V) W_o, n being the number of tokens that a token sees."""
    gate, v, (q, k) = parts(w, x, size)
    rows = []
    for i in range(x.shape[1]):
        seen = list(range(i + 1 if causal else x.shape[1]))
        scores = torch.stack([(q[:, i] * k[:, j]).sum(-1) for j in seen], dim=-1)
        bias = torch.tensor([-slope * gap(i, j) for j in seen], dtype=x.dtype)
        given = weight(kind, scores, bias, divisor or len(seen), size)
        rows.append((given[..., None] * v[:, seen]).sum(1))
    return (gate * torch.stack(rows, dim=1)) @ w["gates.output.weight"].T


def flash(
    kind: str, chunk: int, w: Weights, x: Tensor, *, size: int = 4, causal: bool = True
) -> Tensor:
    """Weights inside a chunk, plain products to the chunks before or to all tokens."""
    gate, v, (q, k, q_far, k_far) = parts(w, x, size)
    length, rows = x.shape[1], []
    for i in range(length):
        first = i // chunk * chunk
        seen = list(range(first, i + 1 if causal else min(first + chunk, length)))
        scores = torch.stack([(q[:, i] * k[:, j]).sum(-1) for j in seen], dim=-1)
        given = weight(kind, scores, torch.zeros(len(seen)), chunk, size)
        y = (given[..., None] * v[:, seen]).sum(1)
        for j in range(first if causal else length):
            y = y + (q_far[:, i] * k_far[:, j]).sum(-1, keepdim=True) * v[:, j] / (
                first if causal else length
            )
        rows.append(y)
    return (gate * torch.stack(rows, dim=1)) @ w["gates.output.weight"].T


def normalised(x: Tensor) -> Tensor:
    """Layer norm without gain and shift, with an epsilon of 1e-5."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def quantised(
    block: int,
    w: Weights,
    x: Tensor,
    *,
    size: int = 4,
    cached: bool = True,
    slope: float = 0.0,
) -> Tensor:
    """Softmax over keys replaced by their nearest codes, which are constants beyond two blocks."""
    wide = w["output.weight"].shape[1]
    gate, v, q, k = (x @ w["inward.weight"].T).split([wide, wide, size, size], dim=-1)
    q, k, v, codes = normalised(q) + w["content"], normalised(k), silu(v), w["codebook.vectors"]
    nearest = codes[(k[:, :, None] - codes).square().sum(-1).argmin(-1)]
    rows = []
    for i in range(x.shape[1]):
        scores, values = [], []
        for j in range(i + 1):
            close = i // block - j // block <= 1
            # The value of the code, and in the two blocks the gradient of the key.
            key = k[:, j] + (nearest[:, j] - k[:, j]).detach() if close else nearest[:, j]
            bias = -slope * (i - j) if close else 0.0
            scores.append((q[:, i] * key).sum(-1) / math.sqrt(size) + bias)
            values.append(v[:, j] if close or cached else v[:, j].detach())
        power = torch.stack(scores, dim=-1).exp()
        given = power / power.sum(-1, keepdim=True)
        rows.append((given[..., None] * torch.stack(values, dim=1)).sum(1))
    return (silu(gate) * torch.stack(rows, dim=1)) @ w["output.weight"].T


def fourier(w: Weights, x: Tensor) -> Tensor:
    """The real part of the sum of x_jk e^{-2 pi i (aj/n + bk/d)}."""
    n, d = x.shape[1:]
    over_tokens, over_features = (
        torch.exp(-2j * math.pi * torch.outer(torch.arange(m), torch.arange(m)).double() / m)
        for m in (n, d)
    )
    return torch.einsum("aj,njk,kb->nab", over_tokens, x + 0j, over_features).real


def _gau(kind: Any, causal: bool = True, slope: float = 0.0, divisor: int | None = None) -> Row:
    formula = partial(gau, kind, causal=causal, slope=slope, divisor=divisor)
    position = ALiBi(1) if slope else None
    build = partial(GAU, 6, size=4, weights=kind, causal=causal, divisor=divisor, position=position)
    words = (kind, "bias" if slope else "", "" if causal else "both sides")
    return " ".join(word for word in words if word), build, formula


def _gau_table(name: str, kind: str, causal: bool = True) -> Row:
    return "as in the table", MIXERS[name].build, partial(gau, kind, causal=causal)


def _flash(kind: Any, causal: bool) -> Row:
    formula: Formula = partial(flash, kind, 3, causal=causal)
    return kind, partial(FLASH, 6, size=4, chunk=3, weights=kind, causal=causal), formula


def _quantised(cached: bool, slope: float) -> Row:
    position = ALiBi(1) if slope else None
    build = partial(
        TransformerVQ, 6, size=4, codes=5, block=3, cache_gradient=cached, position=position
    )
    formula = partial(quantised, 3, cached=cached, slope=slope)
    return ("bias" if slope else "") + ("" if cached else " no gradient afar"), build, formula


_BIASED = [
    _gau(kind, slope=slope, causal=causal)
    for kind, slope, causal in itertools.product(
        ("scaled", "mean", "summed"), (0.0, SLOPE), (True, False)
    )
]

LAWS = [
    definition("gau", _gau_table("gau", "scaled"), *_BIASED, _gau("scaled", divisor=20)),
    definition(
        "gau-softmax",
        _gau_table("gau-softmax", "softmax-plus"),
        *(
            _gau(kind, slope=SLOPE, causal=c)
            for kind in ("softmax", "softmax-plus")
            for c in (True, False)
        ),
    ),
    definition("gau-bidirectional", _gau_table("gau-bidirectional", "mean", causal=False)),
    definition(
        "flash",
        partial(flash, "scaled", 4),
        *(_flash(kind, True) for kind in ("scaled", "mean", "summed", "softmax", "softmax-plus")),
        lengths=(11,),
    ),
    definition(
        "flash-bidirectional",
        partial(flash, "scaled", 4, causal=False),
        _flash("mean", False),
        lengths=(11,),
    ),
    definition(
        "transformer-vq",
        partial(quantised, 4),
        *(_quantised(cached, slope) for cached in (True, False) for slope in (0.0, SLOPE)),
        lengths=(11,),
    ),
    definition("fnet", fourier, ("narrow", partial(FNet, 3), fourier), lengths=(1, 7, 12)),
]
