"""Definitions of attention with a softmax: whole, shared, windowed, sparse, hashed, projected.

Every token sums over the keys that it sees, one token after the other.
"""

import itertools
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from danlu.laws.gaps import gap
from danlu.laws.mixers.definitions import Formula, Weights, definition
from danlu.layers.seeded import seeded_normal
from danlu.mixers.diag_attention import DiagAttention
from danlu.mixers.linformer import Linformer
from danlu.mixers.reformer import Reformer
from danlu.mixers.softmax import Softmax
from danlu.mixers.sparse import Sparse

Sees = Callable[[int, int], bool]
"""Whether token i sees key j."""


def everything(i: int, j: int) -> bool:
    """All keys."""
    return True


def past(i: int, j: int) -> bool:
    """The token itself and those before."""
    return j <= i


def last(window: int, i: int, j: int) -> bool:
    """The token itself and those less than a window before it."""
    return 0 <= i - j < window


def near(window: int, i: int, j: int) -> bool:
    """Those less than a window away, on both sides."""
    return gap(i, j) < window


def block(size: int, causal: bool, i: int, j: int) -> bool:
    """The tokens of the same block."""
    return i // size == j // size and (j <= i or not causal)


def weighted(q: Tensor, k: Tensor, v: Tensor, sees: Sees, scale: float | None = None) -> Tensor:
    """The mean of the values that each token sees, weighted by exp(scale q k)."""
    rows: list[Tensor] = []
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    for i in range(q.shape[1]):
        seen = [j for j in range(k.shape[1]) if sees(i, j)]
        if not seen:  # as before the first summary of a fixed pattern
            rows.append(torch.zeros_like(v[:, 0]))
            continue
        power = (factor * (q[:, i, None] * k[:, seen]).sum(-1)).exp()
        rows.append((power[..., None] * v[:, seen]).sum(1) / power.sum(1, keepdim=True))
    return torch.stack(rows, dim=1)


def mapped(w: Weights, name: str, x: Tensor) -> Tensor:
    """A linear map by its name."""
    y = x @ w[f"{name}.weight"].T
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def attention(
    heads: int, sees: Sees | list[Sees], w: Weights, x: Tensor, key_heads: int | None = None
) -> Tensor:
    """Heads side by side; neighbouring heads share keys and values where there are fewer."""
    source = w.get("memory", x)
    key_heads = heads if key_heads is None else key_heads
    q = mapped(w, "query", x).chunk(heads, dim=-1)
    k = mapped(w, "key", source).chunk(key_heads, dim=-1)
    v = mapped(w, "value", source).chunk(key_heads, dim=-1)
    rules = sees if isinstance(sees, list) else [sees] * heads
    read = [
        weighted(q[h], k[h * key_heads // heads], v[h * key_heads // heads], rules[h])
        for h in range(heads)
    ]
    return mapped(w, "output", torch.cat(read, dim=-1))


def swiglu(w: Weights, x: Tensor) -> Tensor:
    """W3 (SiLU(W1 x) * W2 x)."""
    gate, value = (x @ w["network.rise.weight"].T).chunk(2, dim=-1)
    return (gate / (1 + (-gate).exp()) * value) @ w["network.fall.weight"].T


# --- sparse patterns --------------------------------------------------------------------------


def strided(stride: int) -> list[Sees]:
    """arXiv:1904.10509 §4.2: the last tokens up to a stride back, and every stride-th one."""
    return [
        lambda i, j: 0 <= i - j <= stride,
        lambda i, j: j <= i and (i - j) % stride == 0,
    ]


def fixed(stride: int, summaries: int) -> list[Sees]:
    """arXiv:1904.10509 §4.3: the block so far, and the last tokens of all blocks."""
    return [
        lambda i, j: j <= i and i // stride == j // stride,
        lambda i, j: j <= i and j % stride in range(stride - summaries, stride),
    ]


# --- few keys ---------------------------------------------------------------------------------


def linformer(heads: int, w: Weights, x: Tensor) -> Tensor:
    """softmax(Q (E K)^T / sqrt(d)) F V."""
    k, v = w["mix_keys"] @ mapped(w, "key", x), w["mix_values"] @ mapped(w, "value", x)
    parts = zip(*(part.chunk(heads, dim=-1) for part in (mapped(w, "query", x), k, v)), strict=True)
    found = [weighted(q, k, v, everything) for q, k, v in parts]
    return mapped(w, "output", torch.cat(found, dim=-1))


def efficient(heads: int, w: Weights, x: Tensor) -> Tensor:
    """The softmax over the features of Q, times softmax over the tokens of K, times V."""
    found = []
    names = ("query", "key", "value")
    for q, k, v in zip(*(mapped(w, name, x).chunk(heads, -1) for name in names), strict=True):
        q, k = q.exp(), k.exp()
        q, k = q / q.sum(-1, keepdim=True), k / k.sum(1, keepdim=True)
        found.append(torch.einsum("bid,bjd,bje->bie", q, k, v))
    return mapped(w, "output", torch.cat(found, dim=-1))


# --- hashing ----------------------------------------------------------------------------------


def reformer(
    heads: int, rounds: int, buckets: int, chunk: int, causal: bool, w: Weights, x: Tensor
) -> Tensor:
    """Attention with shared keys to the union of what the rounds let a token see."""
    queries, values = (mapped(w, name, x).chunk(heads, dim=-1) for name in ("query", "value"))
    size, length = queries[0].shape[-1], x.shape[1]
    # The rotations are drawn, not defined: those of seed 0.
    rotation = seeded_normal(0, heads, rounds, size, buckets // 2, like=x)
    found = torch.zeros_like(x)
    for b, h in itertools.product(range(len(x)), range(heads)):
        q, v = queries[h][b], values[h][b]
        k = q / (q.square().mean(-1, keepdim=True) + 1e-6).sqrt() / math.sqrt(size)
        seen = [
            _together(torch.cat([q @ r, -(q @ r)], -1).argmax(-1).tolist(), chunk)
            for r in rotation[h]
        ]
        for i in range(length):
            others = {j for round_ in seen for j in round_[i] if j != i and (j < i or not causal)}
            picked = sorted(others) or [i]
            share = (k[picked] @ q[i]).softmax(0)
            found[b, i, h * size : (h + 1) * size] = share @ v[picked]
    return mapped(w, "output", found)


def _together(buckets: list[int], chunk: int) -> list[set[int]]:
    """Whom each token meets: its own chunk and the one before, sorted by bucket and order."""
    order = sorted(range(len(buckets)), key=lambda i: (buckets[i], i))
    place = {token: rank // chunk for rank, token in enumerate(order)}
    return [{j for j in place if place[i] - place[j] in (0, 1)} for i in range(len(buckets))]


def _hashed(causal: bool, chunk: int, rounds: int) -> tuple[str, partial, Formula]:
    build = partial(Reformer, 8, heads=2, chunk=chunk, buckets=4, rounds=rounds, causal=causal)
    return (
        f"chunks of {chunk}, {rounds} rounds",
        build,
        partial(reformer, 2, rounds, 4, chunk, causal),
    )


LAWS = [
    definition("softmax", partial(attention, 2, past)),
    definition("grouped-query", partial(attention, 4, past, key_heads=2)),
    definition(
        "sliding-window",
        partial(attention, 2, partial(last, 4)),
        (
            "both sides",
            partial(Softmax, 8, heads=2, window=3, causal=False),
            partial(attention, 2, partial(near, 3)),
        ),
        lengths=(5, 14),
    ),
    definition("bidirectional", partial(attention, 2, everything)),
    definition("softmax-shifted", partial(attention, 2, past)),
    definition("cross-attention", partial(attention, 2, everything)),
    definition("feed-forward", swiglu),
    definition(
        "sparse-strided",
        partial(attention, 2, strided(4)),
        (
            "stride 3",
            partial(Sparse, 8, heads=4, stride=3, summaries=1),
            partial(attention, 4, 2 * strided(3)),
        ),
        (
            "stride 1",
            partial(Sparse, 8, heads=2, stride=1, summaries=1),
            partial(attention, 2, strided(1)),
        ),
        lengths=(11,),
    ),
    definition(
        "sparse-fixed",
        partial(attention, 2, fixed(4, 2)),
        (
            "all are summaries",
            partial(Sparse, 8, heads=2, pattern="fixed", stride=3, summaries=3),
            partial(attention, 2, fixed(3, 3)),
        ),
        lengths=(11,),
    ),
    definition(
        "diag-attention",
        partial(attention, 2, partial(block, 4, True)),
        (
            "one block",
            partial(DiagAttention, 8, heads=2, block=16),
            partial(attention, 2, past),
        ),
        (
            "single tokens",
            partial(DiagAttention, 8, heads=2, block=1),
            partial(attention, 2, partial(block, 1, True)),
        ),
        lengths=(11,),
    ),
    definition(
        "diag-attention-bidirectional",
        partial(attention, 2, partial(block, 4, False)),
        lengths=(11,),
    ),
    definition(
        "linformer",
        partial(linformer, 2),
        ("one key", partial(Linformer, 8, length=5, keys=1, heads=4), partial(linformer, 4)),
    ),
    definition("efficient", partial(efficient, 2)),
    definition("reformer", _hashed(True, 9, 2), _hashed(True, 3, 1), _hashed(True, 2, 3)),
    definition(
        "reformer-bidirectional", _hashed(False, 9, 2), _hashed(False, 3, 1), _hashed(False, 2, 3)
    ),
]
