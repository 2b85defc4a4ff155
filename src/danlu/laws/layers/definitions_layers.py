"""Definitions of the layers of single tokens and of attention, which read weights by name."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from danlu.laws.gaps import gap, largest
from danlu.laws.mixers.definitions import (
    Errors,
    compared,
    gelu,
    module,
    module_laws,
    moved,
    numbers,
    silu,
    slopes,
)
from danlu.layers import attention, precision
from danlu.layers.feed_forward import MLP, GatedMLP
from danlu.layers.norms import HeadNorm, LayerNorm, RMSNorm
from danlu.layers.shift import ShortConvolution, extended
from danlu.layers.time import TimeEmbedding

# --- single tokens ------------------------------------------------------------------------------


def mlp(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """W2 gelu(W1 x + b1) + b2."""
    wide = gelu(x @ w["rise.weight"].T + w["rise.bias"])
    return wide @ w["fall.weight"].T + w["fall.bias"]


def gated_mlp(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """W3 (SiLU(W1 x) * W2 x)."""
    gate, value = (x @ w["rise.weight"].T).chunk(2, dim=-1)
    return (silu(gate) * value) @ w["fall.weight"].T


def centred(x: Tensor, epsilon: float) -> Tensor:
    """Less its mean, over its standard deviation."""
    x = x - x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + epsilon).sqrt()


def rms_norm(count: int, w: dict[str, Tensor], x: Tensor) -> Tensor:
    """Each group over its root mean square, then the gain."""
    parts = [
        part / (part.square().mean(-1, keepdim=True) + 1e-6).sqrt() for part in x.chunk(count, -1)
    ]
    return torch.cat(parts, dim=-1) * w["gain"]


def layer_norm(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """(x - mean) / sqrt(var + 1e-6), gain and shift."""
    return centred(x, 1e-6) * w["gain"] + w["shift"]


def head_norm(epsilon: float, w: dict[str, Tensor], x: Tensor) -> Tensor:
    """The same for each of two heads."""
    heads = [centred(part, epsilon) for part in x.chunk(2, dim=-1)]
    return torch.cat(heads, dim=-1) * w["gain"] + w["shift"]


def sinusoids(w: dict[str, Tensor], t: Tensor) -> Tensor:
    """sqrt(2) cos and sin of t, from 1 to 200 in equal ratios."""
    angles = [t * 200.0 ** (pair / 3) for pair in range(4)]
    waves = [angle.cos() for angle in angles] + [angle.sin() for angle in angles]
    return torch.stack(waves, dim=-1) * math.sqrt(2)


def time_embedding() -> float:
    """A time embedding of width 8 against its waves, with the slope by time."""
    layer, t = TimeEmbedding(8).double(), numbers(5, stream=2)
    return compared(lambda t: layer(t), partial(sinusoids, {}), [t])


# --- the past few tokens ------------------------------------------------------------------------


def filtered() -> float:
    """A short convolution behind three tokens, in rows of 5 and 2 tokens."""
    layer = moved(ShortConvolution(3, 4).double())
    x, before, lengths = numbers(2, 5, 3), numbers(2, 3, 3, stream=1), [5, 2]
    assert layer.bias is not None

    def formula(x: Tensor, before: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        whole = torch.cat([before, x], dim=1)
        rows = [sum((weight[:, i] * whole[:, t + i] for i in range(4)), bias) for t in range(5)]
        kept = torch.stack([whole[b, n : n + 3] for b, n in enumerate(lengths)])
        return torch.cat([torch.stack(rows, dim=1), kept], dim=1)

    def run(x: Tensor, before: Tensor, *_: Tensor) -> Tensor:
        return torch.cat(layer(x, before, torch.tensor(lengths)), dim=1)

    inputs, weights = [x, before], [layer.weight, layer.bias]
    found = slopes(run, inputs, weights)
    return gap(found, slopes(lambda x, b: formula(x, b, *weights), inputs, weights))


def remembered() -> float:
    """A sequence behind the two tokens before it, and its last two."""
    x, before = numbers(2, 4, 3), numbers(2, 2, 3, stream=1)
    whole = torch.cat([before, x], dim=1)
    plain, none = extended(x, before, None, 2), extended(x, None, torch.tensor([1, 4]), 2)
    start = torch.cat([0 * before, x], dim=1)
    ends = torch.stack([start[0, 1:3], start[1, 4:6]])
    return largest(gap(plain, (whole, x[:, 2:])), gap(none, (start, ends)))


# --- attention ----------------------------------------------------------------------------------

Seen = Callable[[int, int], bool]


def attended(
    q: Tensor, k: Tensor, v: Tensor, seen: Seen, scale: float, bias: Tensor | None = None
) -> Tensor:
    """Means of the values that are seen, weighted by exp(scale q k + bias); 0 of none."""
    rows = []
    for i in range(q.shape[2]):
        picked = [j for j in range(k.shape[2]) if seen(i, j)]
        if not picked:
            rows.append(torch.zeros_like(v[:, :, 0]))
            continue
        scores = scale * torch.einsum("bhd,bhjd->bhj", q[:, :, i], k[:, :, picked])
        power = (scores if bias is None else scores + bias[i, picked]).exp()
        power = power / power.sum(-1, keepdim=True)
        rows.append(torch.einsum("bhj,bhjd->bhd", power, v[:, :, picked]))
    return torch.stack(rows, dim=2)


def heads(queries: int = 6, keys: int = 6) -> list[Tensor]:
    """Queries, keys and values of two heads."""
    shapes = [(2, 2, queries, 4), (2, 2, keys, 4), (2, 2, keys, 3)]
    return [numbers(*shape, stream=n) for n, shape in enumerate(shapes)]


def everything(i: int, j: int) -> bool:
    """All keys."""
    return True


def _past(i: int, j: int) -> bool:
    return j <= i


def _pattern(i: int, j: int) -> bool:
    return (i + 2 * j) % 3 != 0 and i != 2  # query 2 sees nothing


def masked(run: Callable[..., Tensor]) -> float:
    """Attention without a mask, with one, with a bias, and with a scale of one's own."""
    mask = torch.tensor([[_pattern(i, j) for j in range(7)] for i in range(6)])
    bias = numbers(6, 7, stream=5)
    inputs = heads(6, 7)
    cases: list[tuple[dict[str, Any], Callable[..., Tensor]]] = [
        ({}, partial(attended, seen=everything, scale=0.5)),
        ({"mask": mask[None, None]}, partial(attended, seen=_pattern, scale=0.5)),
        ({"mask": bias[None, None]}, partial(attended, seen=everything, scale=0.5, bias=bias)),
        ({"scale": 0.3}, partial(attended, seen=everything, scale=0.3)),
    ]
    return largest(compared(partial(run, **facts), formula, inputs) for facts, formula in cases)


def weighed(**facts: Any) -> Callable[..., Tensor]:
    """The weights of attention times the values."""
    return lambda q, k, v, **more: attention.weights(q, k, **more, **facts) @ v


def causal(run: Callable[..., Tensor]) -> float:
    """Attention to the past, with a scale of one's own too."""
    cases = [({}, 0.5), ({"scale": 0.3}, 0.3)]
    return largest(
        compared(
            partial(run, **facts),
            partial(attended, seen=_past, scale=scale),
            heads(),
        )
        for facts, scale in cases
    )


def windowed() -> float:
    """Attention within windows, to the past and to both sides, of lengths that do not divide."""
    worst = 0.0
    for window, length, past in ((1, 4, True), (3, 10, True), (3, 11, False), (4, 8, False)):
        run = partial(attention.attend_in_window, window=window, causal=past)

        def seen(i: int, j: int, window: int = window, past: bool = past) -> bool:
            return gap(i, j) < window and (j <= i or not past)

        formula = partial(attended, seen=seen, scale=0.5)
        worst = largest(worst, compared(run, formula, heads(length, length)))
    return worst


def widths() -> float:
    """Half precision becomes float32, what is wider stays; values are those before."""
    wrong = 0.0
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        x = numbers(3, 2).to(dtype)
        expected = torch.float64 if dtype == torch.float64 else torch.float32
        wrong += precision.wide(x) != expected or precision.widened(x).dtype != expected
        wrong += gap(precision.widened(x), x)
    return wrong


def products() -> float:
    """A product under autocast is rounded to bfloat16; inside, it is that of the factors' type."""
    x = numbers(3, 3).float()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = x @ x
        with precision.full_precision(x):
            whole = x @ x
    told = rounded.dtype != torch.bfloat16 or whole.dtype != torch.float32
    return float(told) + gap(whole, x @ x)


DEFINED: dict[str, Errors] = {
    "attention": {
        "attend": lambda: largest(
            masked(attention.attend), masked(partial(attention.attend, derivatives="higher"))
        ),
        "attend_causally": lambda: causal(attention.attend_causally),
        "attend_in_window": windowed,
        "fused": lambda: masked(attention.fused),
        "plain": lambda: masked(attention.plain),
        "plain_causal": lambda: causal(attention.plain_causal),
        "weights": lambda: masked(weighed()),
    },
    "feed_forward": {
        "MLP": lambda: largest(
            module(partial(MLP, 3), mlp, 2, 5, 3), module(partial(MLP, 3, hidden=5), mlp, 4, 3)
        ),
        "GatedMLP": lambda: module(partial(GatedMLP, 3), gated_mlp, 2, 5, 3),
    },
    "norms": {
        "RMSNorm": lambda: largest(
            module(partial(RMSNorm, 6), partial(rms_norm, 1), 2, 5, 6),
            module(partial(RMSNorm, 6, groups=3), partial(rms_norm, 3), 2, 5, 6),
        ),
        "LayerNorm": lambda: module(partial(LayerNorm, 6), layer_norm, 2, 5, 6),
        "HeadNorm": lambda: largest(
            module(partial(HeadNorm, 6, 2), partial(head_norm, 1e-6), 2, 5, 6),
            module(partial(HeadNorm, 6, 2, epsilon=0.1), partial(head_norm, 0.1), 2, 5, 6),
        ),
    },
    "precision": {"full_precision": products, "wide": widths, "widened": widths},
    "shift": {"extended": remembered, "ShortConvolution": filtered},
    "time": {"TimeEmbedding": time_embedding},
}
"""Every public function and class of these modules, with the error against its definition."""

LAWS = module_laws(DEFINED)
