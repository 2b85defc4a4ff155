"""Laws of position encodings: each one under attention, and its own formula against an oracle."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.linalg import expm

from danlu.contracts import SequenceContext
from danlu.laws.draws import generator, standard_normal
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Case, Law, Rows, law_of_cases, table
from danlu.laws.mixers.mixers import mixer_laws
from danlu.laws.mixers.sequences import made, refused, tokens
from danlu.mixers.linear import LinearAttention
from danlu.mixers.softmax import Softmax
from danlu.positions import HOOKS, POSITIONS, PositionEncoding
from danlu.positions.alibi import slopes
from danlu.positions.frequencies import geometric
from danlu.positions.rotary import Rotary, permute_rope_weights
from danlu.positions.sinusoidal import Sinusoidal
from danlu.positions.t5 import bucket

Encoding = Callable[[], PositionEncoding]

UNDER_ATTENTION = ("steps", "packed", "padding", "future", "gradient")
"""What attention must obey with any encoding."""


def attention(build: Encoding) -> Softmax:
    """Two heads of 4 with an encoding."""
    position = build()
    return Softmax(8, heads=2, position=position, causal=not position.sees_future)


def axes(build: Encoding) -> int:
    """How many axes the positions of an encoding have; 0 is the plain index."""
    return getattr(build(), "axes", 0)


def shifted(build: Encoding) -> Iterable[Case]:
    """Attention when all positions move by the same amount."""
    mixer = made(partial(attention, build))
    count = axes(build)
    for amount in (1, 7, 30):

        def error(amount: int = amount) -> float:
            x = tokens(mixer, 9)
            source = generator(4)
            shape = (2, 9, count) if count else (2, 9)
            positions = torch.randint(20, shape, generator=source)
            ends = [mixer(x, SequenceContext(positions=positions + by))[0] for by in (0, amount)]
            return gap(*ends)

        yield f"shifted by {amount}", error


def declared(build: Encoding) -> float:
    """Hooks that are declared and missing, or there and not declared."""
    position = build()
    wrong = len(position.hooks - HOOKS)
    for name in HOOKS:
        own = getattr(type(position), name) is not getattr(PositionEncoding, name)
        wrong += own != (name in position.hooks)
    return float(wrong)


def norm_kept(build: Encoding) -> float:
    """Change of the norms of queries and keys by a rotation, beyond its declared factor."""
    position, q, k = (
        build().double(),
        standard_normal(2, 3, 5, 4),
        standard_normal(2, 3, 5, 4, stream=1),
    )
    count = axes(build)
    places = torch.arange(5)[None].expand(2, 5)
    if count:
        places = torch.stack([places * (axis + 1) for axis in range(count)], dim=-1)
    turned = position.rotate(q, k, places, places)
    factor = getattr(position, "magnitude", 1.0)
    norms = ([part.norm(dim=-1) for part in parts] for parts in (turned, (factor * q, factor * k)))
    return gap(*norms)


def sinusoid_turns() -> float:
    """A shift turns each pair."""
    theta, worst = [1.0, 0.1, 0.01, 0.001], 0.0
    context = SequenceContext(positions=torch.arange(40)[None])
    p = Sinusoidal(8).embed(torch.zeros(1, 40, 8), context)[0]
    for m in (1, 13):
        angle = m * torch.tensor(theta, dtype=torch.float64)
        sin, cos = p[:, 0::2], p[:, 1::2]
        turned = [sin * angle.cos() + cos * angle.sin(), cos * angle.cos() - sin * angle.sin()]
        worst = largest(worst, gap(torch.stack(turned, -1).flatten(-2)[:-m], p[m:]))
    return worst


def rope_is_exponential() -> float:
    """The rotation is exp(m B), B skew."""
    worst = 0.0
    for layout in ("interleaved", "half"):
        rope, x = Rotary(6, layout=layout), standard_normal(1, 1, 1, 6)
        source = np.zeros((6, 6))
        for pair, theta in enumerate(10_000 ** (-2 * i / 6) for i in range(3)):
            a, b = (2 * pair, 2 * pair + 1) if layout == "interleaved" else (pair, pair + 3)
            source[a, b], source[b, a] = -theta, theta
        for m in (0.0, 1.0, 2.5, 37.0):
            found = rope.turn(x, torch.tensor([[m]]))[0, 0, 0]
            expected = torch.from_numpy(expm(m * source)) @ x[0, 0, 0]
            worst = largest(worst, gap(found, expected))
    return worst


def rope_layouts() -> float:
    """Permuted weights give the same scores."""
    heads, dim, x = 2, 8, standard_normal(1, 5, 6)
    maps = [standard_normal(heads * dim, 6, stream=1), standard_normal(heads * dim, 6, stream=2)]
    places = torch.arange(5)[None]

    def scores(weights: list[torch.Tensor], layout: Any) -> torch.Tensor:
        q, k = ((x @ w.T).unflatten(-1, (heads, dim)).transpose(1, 2) for w in weights)
        q, k = Rotary(dim, layout=layout).rotate(q, k, places, places)
        return q @ k.transpose(-2, -1)

    halves = [permute_rope_weights(w, heads, to="half") for w in maps]
    back = [permute_rope_weights(w, heads, to="interleaved") for w in halves]
    return largest(gap(scores(maps, "interleaved"), scores(halves, "half")), gap(back, maps))


def rope_decay() -> float:
    """The decay bound has its published values."""
    theta = torch.tensor(geometric(128), dtype=torch.float64)
    published = {0: 32.5, 1: 31.5, 4: 22.6, 16: 15.8, 64: 10.1, 256: 6.5}
    worst = 0.0
    for m, value in published.items():
        sums = torch.polar(torch.ones_like(theta), m * theta).cumsum(0).abs()
        worst = largest(worst, gap(sums.mean().item(), value))
    return worst


def alibi_slopes() -> float:
    """The slopes are the published ones."""
    eight = [2.0**-n for n in range(1, 9)]
    twelve = [*eight, *(2 ** -(n + 0.5) for n in range(4))]
    return largest(
        gap(torch.tensor(slopes(n)), torch.tensor(e)) for n, e in ((8, eight), (12, twelve))
    )


def t5_buckets() -> float:
    """The buckets follow their definition."""
    worst = 0
    for causal in (True, False):
        for relative in range(-200, 201):
            found = int(bucket(torch.tensor(relative), 32, 128, causal=causal))
            worst = largest(worst, gap(found, _bucket_by_definition(relative, causal)))
    return float(worst)


def _bucket_by_definition(relative: int, causal: bool) -> int:
    size = 32 if causal else 16
    offset = 16 if not causal and relative > 0 else 0
    distance = max(-relative, 0) if causal else abs(relative)
    if distance < size // 2:
        return offset + distance
    # Edges of the logarithmic buckets: exact * (128 / exact)^(step / (size - exact)).
    exact = size // 2
    edges = [exact * (128 / exact) ** (step / (size - exact)) for step in range(size - exact)]
    passed = sum(distance >= edge - 1e-9 for edge in edges) - 1
    return offset + min(exact + passed, size - 1)


def _rows(name: str, build: Encoding) -> list[Law]:
    position, rows = build(), []
    if not axes(build):
        found = mixer_laws(f"positions/{name}", partial(attention, build), only=UNDER_ATTENTION)
        rows += found
    said = "every declared hook is there, and no other"
    rows.append(
        Law(f"positions/{name}/hooks", said, 0.0, partial(declared, build), oracle="contract")
    )
    if position.relative and "embed" not in position.hooks:
        said = "moving all positions changes no output"
        cases = partial(shifted, build)
        rows.append(
            law_of_cases(f"positions/{name}/relative", said, 1e-9, cases, oracle="self-consistency")
        )
    if "rotate" in position.hooks:
        said = "turning keeps the norm, up to a declared factor"
        rows.append(
            Law(
                f"positions/{name}/norm",
                said,
                1e-12,
                partial(norm_kept, build),
                oracle="closed form",
            )
        )
    return rows


def taken_by_linear() -> float:
    """Linear attention takes those that say so."""
    wrong = 0
    for method in POSITIONS.values():
        position = method.build()
        takes = refused(lambda p=position: LinearAttention(8, heads=2, position=p)) == 1
        wrong += takes != position.linear_ok
    return float(wrong)


IDENTITIES: Rows = {
    "contract": [
        ("linear", 0.0, taken_by_linear),
    ],
    "closed form": [
        ("sinusoidal/turns", 1e-12, sinusoid_turns),
        ("rope/exponential", 1e-11, rope_is_exponential),
    ],
    "self-consistency": [
        ("rope/layouts", 1e-12, rope_layouts),
    ],
    "definition": [
        ("t5/buckets", 0.0, t5_buckets),
    ],
    "golden value": [
        ("rope/decay", 0.05, rope_decay),
        ("alibi/slopes", 1e-15, alibi_slopes),
    ],
}

LAWS = [
    *(law for name, method in POSITIONS.items() for law in _rows(name, method.build)),
    *table(IDENTITIES, prefix="positions/"),
]
