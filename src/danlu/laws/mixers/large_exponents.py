"""Laws of exponential features whose exponents are far apart: the past is not wiped out by others.

In float32, against a softmax over logarithms of all weights in float64. Of keys of norm 48 the
random features have exponents near -300, and what follows them near 0; keys that are multiplied
by 1000 have exponents that no type can exponentiate.

A rounded exponent of 1000 is a weight that is wrong by 1e-4, whatever the layer does. So heads have
16 numbers, for which the layer's factor is a half, and keys and directions are eighths: all
exponents are numbers that float32 holds.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from danlu.laws.draws import seed
from danlu.laws.gaps import largest, relative_gap
from danlu.laws.law import Case, Law, law_of_cases
from danlu.laws.mixers.sequences import Build, made, tokens
from danlu.mixers.base import Mixer
from danlu.mixers.feature_maps import Exponential
from danlu.mixers.linear import LinearAttention
from danlu.mixers.performer import Performer, exponents
from danlu.mixers.softmax import split_heads

LENGTH, FIRST = 9, 3
SIZES = {"the first keys of norm 48": (48.0, 1.0), "the last of norm 48": (1.0, 48.0),
         "all keys times 1000": (1e3, 1e3)}  # fmt: skip

Logs = tuple[Tensor, Tensor]


def of_performer(mixer: Performer, q: Tensor, k: Tensor) -> Logs:
    """Logarithms of random features."""
    return exponents(q, mixer.projection), exponents(k, mixer.projection)


def of_exponential(mixer: LinearAttention, q: Tensor, k: Tensor) -> Logs:
    """Logarithms of trained exponential features."""
    directions = dict(mixer.features.named_parameters())["directions"]
    return (q @ directions.T).log_softmax(-1), k @ directions.T


SIZE, FEATURES = 16, 6
KINDS: dict[str, tuple[Build, Callable[..., Logs]]] = {
    "performer": (partial(Performer, 2 * SIZE, heads=2, features=FEATURES), of_performer),
    "performer-bidirectional": (
        partial(Performer, 2 * SIZE, heads=2, features=FEATURES, causal=False),
        of_performer,
    ),
    "linear-exponential": (
        lambda: LinearAttention(2 * SIZE, heads=2, features=Exponential(SIZE, features=FEATURES)),
        of_exponential,
    ),
}


def cases(name: str) -> Iterable[Case]:
    """Each form and size of keys, all at once and cut in two."""
    build, logarithms = KINDS[name]
    for size, scales in SIZES.items():
        mixer, x = prepared(build, scales)
        expected = by_logarithms(mixer, x, logarithms)
        low = mixer.float()
        for form in mixer.forms:
            for cut in (LENGTH, 5) if mixer.causal else (LENGTH,):
                error = partial(_error, low, x.float(), expected, form, cut)
                yield f"{size}, {form}, cut at {cut}", error


def eighths(x: Tensor) -> Tensor:
    """The nearest numbers that are whole when multiplied by 8."""
    return (8 * x).round() / 8


def prepared(build: Build, scales: tuple[float, float]) -> tuple[Any, Tensor]:
    """A layer whose keys are tokens of the given norms, with queries of norm 1, and the tokens."""
    mixer: Any = made(build)
    with torch.no_grad():
        if isinstance(mixer, Performer):
            mixer.redraw(seed())
        for directions in (*mixer.buffers(), *dict(mixer.named_parameters()).values()):
            if directions.shape == (FEATURES, SIZE):
                directions.copy_(eighths(directions))
        mixer.key.weight.copy_(torch.eye(mixer.dim))
        mixer.query.weight.div_(max(scales))
        mixer.value.weight.div_(max(scales))
    heads = tokens(mixer, LENGTH, batch=1).unflatten(-1, (mixer.heads, -1))
    heads = eighths(heads / heads.norm(dim=-1, keepdim=True))
    scale = torch.full((LENGTH, 1, 1), scales[1])
    scale[:FIRST] = scales[0]
    return mixer, (heads * scale).flatten(-2)


@torch.no_grad()
def by_logarithms(mixer: Any, x: Tensor, kind: Callable[..., Logs]) -> Tensor:
    """The outputs as means whose weights are added up as logarithms."""
    q, k, v = (split_heads(to(x), mixer.heads) for to in (mixer.query, mixer.key, mixer.value))
    of_query, of_key = kind(mixer, q, k)
    scores = (of_query[..., :, None, :] + of_key[..., None, :, :]).logsumexp(-1)
    if mixer.causal:
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
    return mixer.output((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


@torch.no_grad()
def _error(mixer: Mixer, x: Tensor, expected: Tensor, form: str, cut: int) -> float:
    """The largest error of a token, relative to its own output."""
    y, state = mixer(x[:, :cut], form=form)
    if cut < LENGTH:
        y = torch.cat([y, mixer(x[:, cut:], None, state, form=form)[0]], dim=1)
    return largest(map(relative_gap, y.unbind(1), expected.unbind(1)))


LAWS: list[Law] = [
    law_of_cases(
        f"mixers/{name}/large-exponents",
        "exponents far apart leave every mean what it is in float32",
        1e-5,  # sums of nine terms in float32, which cancel to a tenth at worst
        partial(cases, name),
        oracle="definition",
    )
    for name in KINDS
]
