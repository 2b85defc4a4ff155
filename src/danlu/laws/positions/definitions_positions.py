"""Definitions of the position encodings that add to the input or to the scores."""

import itertools
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from danlu.laws.mixers.definitions import Weights
from danlu.laws.positions.definitions_places import Places, alone, places_law
from danlu.positions import POSITIONS
from danlu.positions.alibi import ALiBi
from danlu.positions.t5 import T5

Term = Callable[[int, int, int, int], Tensor]
"""A number for each head, of a row, query i and key j of it, and the distance i - j."""

# --- what is added to the input -----------------------------------------------------------------


def waves(n: Tensor, width: int) -> Tensor:
    """sin(n theta), cos(n theta) in turn, theta = 10,000^(-2i/width)."""
    found = torch.empty(*n.shape, width)
    for pair in range(width // 2):
        angle = n.double() * 10_000.0 ** (-2 * pair / width)
        found[..., 2 * pair], found[..., 2 * pair + 1] = angle.sin(), angle.cos()
    return found


def sinusoidal(w: Weights, x: Tensor, n: Tensor) -> Tensor:
    """x_n + p_n."""
    return x + waves(n, x.shape[-1])


def learned(w: Weights, x: Tensor, n: Tensor) -> Tensor:
    """x_n + P_n."""
    return x + w["table.weight"][n]


def multiplicative(w: Weights, x: Tensor, n: Tensor) -> Tensor:
    """x_n (1 + P_n)."""
    return x * (1 + w["table.weight"][n])


def hierarchical(w: Weights, x: Tensor, n: Tensor) -> Tensor:
    """q_((i-1)m+j) = 0.4 u_i + 0.6 u_j with u_i = (p_i - 0.4 p_1) / 0.6."""
    u, size = (w["table"] - 0.4 * w["table"][0]) / 0.6, len(w["table"])
    rows = [[0.4 * u[each // size] + 0.6 * u[each % size] for each in row] for row in n.tolist()]
    return x + torch.stack([torch.stack(row) for row in rows])


def complex_waves(w: Weights, x: Tensor, n: Tensor) -> Tensor:
    """R e^{i (omega n + phi)}, real parts before imaginary ones."""
    r, omega, phi = x.chunk(3, dim=-1)
    found = r * torch.exp(1j * (omega * n[..., None] + phi))
    return torch.cat([found.real, found.imag], dim=-1)


def floater(w: Weights, x: Tensor, n: Tensor) -> Tensor:
    """P' = h(p, t) in steps of a quarter of a position, h a GELU network and a linear map."""

    def slope(p: Tensor, t: float) -> Tensor:
        p = torch.cat([p, torch.full_like(p[:, :1], t)], dim=-1)
        h = p @ w["dynamics.0.rise.weight"].T + w["dynamics.0.rise.bias"]
        h = h * (1 + torch.erf(h / math.sqrt(2))) / 2
        h = h @ w["dynamics.0.fall.weight"].T + w["dynamics.0.fall.bias"]
        return h @ w["dynamics.1.weight"].T + w["dynamics.1.bias"]

    p, rows, small = w["start"], [w["start"]], 1 / 36 / 4
    for step in range(4 * 35):
        t = step * small
        first = slope(p, t)
        second = slope(p + small / 2 * first, t + small / 2)
        third = slope(p + small / 2 * second, t + small / 2)
        fourth = slope(p + small * third, t + small)
        p = p + small / 6 * (first + 2 * second + 2 * third + fourth)
        rows += [p] if step % 4 == 3 else []
    return x + torch.cat(rows)[n]


def zero_padding(w: Weights, x: Tensor, n: Tensor) -> Tensor:
    """x_t + b + sum of K_i x_(t+i-1), with zeros around the sequence."""
    taps, y = w["convolution.weight"][:, 0], x + w["convolution.bias"]
    for i, t in itertools.product(range(3), range(x.shape[1])):
        if 0 <= t + i - 1 < x.shape[1]:
            kept = torch.zeros(x.shape[1], 1)
            kept[t] = 1.0
            y = y + kept * taps[:, i] * x[:, None, t + i - 1]
    return y


# --- what joins the scores ----------------------------------------------------------------------


def by_pairs(here: Tensor, there: Tensor, term: Term) -> Tensor:
    """`[batch, heads, queries, keys]` of `term(batch, i, j, distance)`, a number for each head."""
    rows = [
        [
            torch.stack([term(b, i, j, int(p - m)) for j, m in enumerate(there[b].tolist())])
            for i, p in enumerate(here[b].tolist())
        ]
        for b in range(len(here))
    ]
    return torch.stack([torch.stack(row) for row in rows]).permute(0, 3, 1, 2)


def alibi(
    slopes: list[float], w: Weights, q: Tensor, k: Tensor, here: Tensor, there: Tensor
) -> Tensor:
    """-m_h |i - j|."""
    return by_pairs(here, there, lambda b, i, j, apart: -abs(apart) * torch.tensor(slopes))


def bucket(apart: int, buckets: int, farthest: int) -> int:
    """Single distances up to half of the buckets, then ranges that grow geometrically."""
    exact = buckets // 2
    if apart < exact:
        return apart
    edges = [exact * (farthest / exact) ** (n / (buckets - exact)) for n in range(buckets - exact)]
    return exact - 1 + sum(apart >= edge - 1e-9 for edge in edges)


def t5(causal: bool, w: Weights, q: Tensor, k: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """Beta of the bucket; of 8, or 4 for each direction, up to a distance of 16."""

    def term(b: int, i: int, j: int, behind: int) -> Tensor:
        if causal:
            return w["table.weight"][bucket(max(behind, 0), 8, 16)]
        return w["table.weight"][bucket(abs(behind), 4, 16) + 4 * (behind < 0)]

    return by_pairs(here, there, term)


def shaw(w: Weights, q: Tensor, k: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """q_i R^K_c(j-i) / sqrt(d), the distance clipped to 3."""

    def term(b: int, i: int, j: int, behind: int) -> Tensor:
        return q[b, :, i] @ w["keys"][min(3, max(-3, -behind)) + 3] / 2

    return by_pairs(here, there, term)


def shaw_values(w: Weights, given: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """The sum of a_ij R^V_c(j-i)."""
    clipped = (there[:, None] - here[:, :, None]).clamp(-3, 3) + 3
    return torch.einsum("bhij,bijd->bhid", given, w["read"][clipped])


def transformer_xl(w: Weights, q: Tensor, k: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """(u k_j + (q_i + v) W r_(i-j)) / sqrt(d), r being sinusoids as wide as all heads."""

    def term(b: int, i: int, j: int, behind: int) -> Tensor:
        r = waves(torch.tensor(behind), 8)
        content = (w["content"] * k[b, :, j]).sum(-1)
        return (content + ((q[b, :, i] + w["place"]) * (w["project"] @ r)).sum(-1)) / 2

    return by_pairs(here, there, term)


# --- the laws -----------------------------------------------------------------------------------


LAWS = [
    places_law("none", [Places(build=POSITIONS["none"].build, formulas={})]),
    alone("sinusoidal", "embed", sinusoidal),
    alone("learned", "embed", learned),
    alone("multiplicative", "embed", multiplicative),
    alone("hierarchical", "embed", hierarchical, reach=36),
    alone("complex", "embed", complex_waves),
    alone("zero-padding", "embed", zero_padding),
    places_law(
        "floater",
        [Places(build=POSITIONS["floater"].build, formulas={"embed": floater}, reach=36)],
        tolerance=1e-6,
    ),
    places_law(
        "alibi",
        [
            Places(
                build=POSITIONS["alibi"].build, formulas={"bias": partial(alibi, [2**-4, 2**-8])}
            ),
            Places(
                words="three heads",
                build=partial(ALiBi, 3),
                formulas={"bias": partial(alibi, [2**-4, 2**-8, 2**-2])},
                heads=3,
            ),
        ],
    ),
    places_law(
        "t5",
        [
            Places(build=POSITIONS["t5"].build, formulas={"bias": partial(t5, True)}, scale=1.0),
            Places(
                words="both sides",
                build=partial(T5, 2, buckets=8, farthest=16, causal=False),
                formulas={"bias": partial(t5, False)},
                scale=1.0,
            ),
        ],
    ),
    places_law(
        "shaw",
        [
            Places(
                build=POSITIONS["shaw"].build,
                formulas={"bias": shaw, "values": shaw_values},
            )
        ],
    ),
    alone("transformer-xl", "bias", transformer_xl),
]
