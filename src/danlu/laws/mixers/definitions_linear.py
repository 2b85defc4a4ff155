"""Definitions of linear attention: sums over pairs of tokens with the features written out."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from danlu.laws.mixers.definitions import Formula, Weights, definition
from danlu.laws.mixers.definitions_attention import mapped
from danlu.mixers import MIXERS
from danlu.mixers.feature_maps import Elu, Exponential, FirstOrder
from danlu.mixers.linear import LinearAttention
from danlu.mixers.norm_attention import NormAttention
from danlu.mixers.performer import Performer
from danlu.positions.rotary import Rotary

LONG = (9, 70)
"""Tokens within a chunk and beyond it."""

Features = Callable[[Weights, Tensor], Tensor]


def rms(x: Tensor, gain: Tensor) -> Tensor:
    """Divided by the root mean square, with an epsilon of 1e-6."""
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * gain


def turned(x: Tensor, frequencies: list[float], *, apart: bool) -> Tensor:
    """Pairs as complex numbers times e^{i n theta}; `apart` pairs are half a head apart."""
    a, b = x.chunk(2, dim=-1) if apart else (x[..., 0::2], x[..., 1::2])
    angle = torch.arange(x.shape[1], dtype=x.dtype)[:, None] * torch.tensor(
        frequencies, dtype=x.dtype
    )
    found = torch.complex(a, b) * torch.exp(1j * angle)
    if apart:
        return torch.cat([found.real, found.imag], dim=-1)
    return torch.stack([found.real, found.imag], dim=-1).flatten(-2)


# --- features ---------------------------------------------------------------------------------


def identity(w: Weights, x: Tensor) -> Tensor:
    """The tokens themselves."""
    return x


def elu_plus_one(w: Weights, x: Tensor) -> Tensor:
    """The map elu + 1: x + 1 above 0, e^x below (arXiv:2006.16236 eq. 7)."""
    return torch.where(x > 0, x + 1, x.clamp(max=0).exp())


def exponential(w: Weights, x: Tensor) -> Tensor:
    """e^{omega x}; a factor on the features of a query cancels."""
    return (x @ w["features.directions"].T if "features.directions" in w else x).exp()


def first_order(w: Weights, x: Tensor) -> Tensor:
    """1 and the unit vector, whose products are 1 + cos."""
    return torch.cat([torch.ones_like(x[..., :1]), x / x.norm(dim=-1, keepdim=True)], dim=-1)


def random_features(w: Weights, x: Tensor) -> Tensor:
    """e^{w x - |x|^2 / 2} for the drawn rows w and x / d^(1/4) (arXiv:2009.14794 lemma 1)."""
    x = x / x.shape[-1] ** 0.25
    return (x @ w["projection"].T - (x * x).sum(-1, keepdim=True) / 2).exp()


def linear(
    features: Features,
    w: Weights,
    x: Tensor,
    *,
    causal: bool = True,
    divided: bool = True,
    rope: str = "",
    finished: Callable[[Weights, Tensor], Tensor] | None = None,
) -> Tensor:
    """Two heads of sums over pairs; `rope` turns the features, or what they are made of."""
    heads = []
    for q, k, v in zip(
        *(mapped(w, n, x).chunk(2, -1) for n in ("query", "key", "value")), strict=True
    ):
        if rope == "inputs":
            q, k = (turned(part, [1.0, 0.01], apart=True) for part in (q, k))
        q, k = features(w, q), features(w, k)
        given = torch.einsum("bif,bjf->bij", q, k)
        total = given
        if rope == "features":
            q, k = (turned(part, [1.0, 0.01], apart=True) for part in (q, k))
            given = torch.einsum("bif,bjf->bij", q, k)
        if causal:
            seen = torch.tensor([[j <= i for j in range(x.shape[1])] for i in range(x.shape[1])])
            given, total = given * seen, total * seen
        y = torch.einsum("bij,bje->bie", given, v)
        y = y / total.sum(-1, keepdim=True) if divided else y
        heads.append(y if finished is None else finished(w, y))
    return mapped(w, "output", torch.cat(heads, dim=-1))


def _normed(w: Weights, y: Tensor) -> Tensor:
    return rms(y, w["norm.gain"])


def _linear(
    words: str, features: Features, build: Callable, **options: object
) -> tuple[str, Callable, Formula]:
    return words, build, partial(linear, features, **options)


def _turned(features: type) -> Callable[[], LinearAttention]:
    return lambda: LinearAttention(8, heads=2, features=features(), position=Rotary(4))


LAWS = [
    definition(
        "linear",
        _linear("", elu_plus_one, MIXERS["linear"].build),
        _linear("turned", elu_plus_one, _turned(Elu), rope="features"),
        lengths=LONG,
    ),
    definition(
        "linear-bidirectional",
        _linear("", elu_plus_one, MIXERS["linear-bidirectional"].build, causal=False),
    ),
    definition(
        "linear-identity",
        _linear("", identity, MIXERS["linear-identity"].build, divided=False),
        lengths=LONG,
    ),
    definition(
        "linear-exponential",
        _linear("", exponential, MIXERS["linear-exponential"].build),
        _linear(
            "of the tokens",
            exponential,
            lambda: LinearAttention(8, heads=2, features=Exponential(4)),
        ),
        _linear(
            "both sides",
            exponential,
            lambda: LinearAttention(8, heads=2, features=Exponential(4), causal=False),
            causal=False,
        ),
    ),
    definition(
        "linear-first-order",
        _linear("", first_order, MIXERS["linear-first-order"].build),
        _linear("turned", first_order, _turned(FirstOrder), rope="inputs"),
        lengths=LONG,
    ),
    definition(
        "norm-attention",
        _linear("", elu_plus_one, MIXERS["norm-attention"].build, divided=False, finished=_normed),
        _linear(
            "both sides",
            elu_plus_one,
            partial(NormAttention, 8, heads=2, causal=False),
            divided=False,
            finished=_normed,
            causal=False,
        ),
        lengths=LONG,
    ),
    definition(
        "performer",
        _linear("", random_features, MIXERS["performer"].build),
        _linear(
            "turned",
            random_features,
            partial(Performer, 8, heads=2, features=6, position=Rotary(4)),
            rope="inputs",
        ),
        lengths=LONG,
    ),
    definition(
        "performer-bidirectional",
        _linear("", random_features, MIXERS["performer-bidirectional"].build, causal=False),
    ),
]
