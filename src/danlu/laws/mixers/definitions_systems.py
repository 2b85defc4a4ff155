"""Definitions of the linear systems: LRU, S4, S4D and HiPPO, with their steps written apart."""

import itertools
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from danlu.laws.mixers.definitions import Weights, definition, gelu
from danlu.laws.mixers.definitions_attention import mapped
from danlu.mixers.hippo_legs import HippoLegS
from danlu.mixers.s4 import S4
from danlu.mixers.s4d import S4D, inverse_spectrum


def lru(w: Weights, x: Tensor) -> Tensor:
    """h_t = lambda h_(t-1) + gamma B x_t, y_t = Re(C h_t) + D x_t; real without an angle."""
    real = "log_angle" not in w
    inward, outward, rate = w["inward.weight"], w["outward.weight"], w["log_rate"].exp()
    if real:
        decay, b, c = (-rate).exp(), inward, outward
    else:
        decay = torch.exp(torch.complex(-rate, w["log_angle"].exp()))
        b = torch.complex(inward[0::2], inward[1::2])
        # The map reads real and imaginary parts: the first plus, the second minus.
        c = torch.complex(outward[:, 0::2], -outward[:, 1::2])
    h, rows = torch.zeros(len(x), len(rate), dtype=b.dtype), []
    for token in x.to(b.dtype).unbind(1):
        h = decay * h + w["log_gain"].exp() * (token @ b.T)
        rows.append(h @ c.T)
    y = torch.stack(rows, dim=1)
    return (y if real else y.real) + w["skip"] * x


def both(part: Tensor) -> Tensor:
    """Pairs of real numbers as complex ones, followed by their conjugates."""
    number = torch.complex(part[..., 0], part[..., 1])
    return torch.cat([number, number.conj()], dim=-1)


def channels(w: Weights, x: Tensor, step: tuple[Tensor, Tensor], c: Tensor) -> Tensor:
    """h_t = A h_(t-1) + B u_t, y_t = C h_t of each channel, then D, GELU and a linear map."""
    matrix, write = step
    h, rows = torch.zeros(len(x), *write.shape, dtype=write.dtype), []
    for token in x.to(write.dtype).unbind(1):
        h = torch.einsum("dnm,bdm->bdn", matrix, h) + write * token[..., None]
        rows.append((c * h).sum(-1).real)
    return mapped(w, "output", gelu(torch.stack(rows, dim=1) + w["skip"] * x))


def s4d(w: Weights, x: Tensor) -> Tensor:
    """Held inputs: A = e^(Delta lambda), B = (e^(Delta lambda) - 1) / lambda."""
    pole = both(torch.stack([-w["log_rate"].exp(), w["frequency"]], dim=-1))
    decay = torch.exp(w["log_step"].exp()[:, None] * pole)
    return channels(w, x, (torch.diag_embed(decay), (decay - 1) / pole), both(w["out"]))


def s4(w: Weights, x: Tensor) -> Tensor:
    """The bilinear rule for A = diag(lambda) - P P*, by inverses of whole matrices."""
    pole = both(torch.stack([-w["log_rate"].exp(), w["frequency"]], dim=-1))
    rank, write = both(w["rank"]), both(w["write"])
    a = torch.diag_embed(pole) - rank[..., :, None] * rank.conj()[..., None, :]
    half = w["log_step"].exp()[:, None, None] / 2 * a
    eye = torch.eye(pole.shape[-1], dtype=a.dtype)
    back = torch.linalg.inv(eye - half)
    held = (back @ write[..., None])[..., 0] * w["log_step"].exp()[:, None]
    return channels(w, x, (back @ (eye + half), held), both(w["out"]))


# --- HiPPO ------------------------------------------------------------------------------------


def legs(states: int, w: Weights, x: Tensor) -> Tensor:
    """C' = (-A c + B f) / t solved exactly for a held token: E = exp(-A ln((k + 1) / k))."""
    a, b = torch.zeros(states, states), torch.zeros(states)
    for n, k in itertools.product(range(states), repeat=2):
        a[n, k] = math.sqrt((2 * n + 1) * (2 * k + 1)) if n > k else (n + 1) * (n == k)
        b[n] = math.sqrt(2 * n + 1)
    inverse, eye = torch.linalg.inv(a), torch.eye(states)
    c, rows = x.new_zeros(*x.shape[::2], states), []
    for k, token in enumerate(x.unbind(1)):
        kept = torch.linalg.matrix_exp(-a * math.log((k + 1) / k)) if k else torch.zeros_like(a)
        c = c @ kept.T + token[..., None] * (inverse @ (eye - kept) @ b)
        rows.append(c)
    return mapped(w, "output", torch.stack(rows, dim=1).flatten(2))


def legt_system(states: int) -> tuple[Tensor, Tensor]:
    """A and B of a window of length 1 (arXiv:2008.07669, appendix D.1)."""
    a, b = torch.zeros(states, states), torch.zeros(states)
    for n, k in itertools.product(range(states), repeat=2):
        size = math.sqrt((2 * n + 1) * (2 * k + 1))
        a[n, k], b[n] = -size * ((-1) ** (n - k) if n < k else 1), math.sqrt(2 * n + 1)
    return a, b


def fourier_system(states: int) -> tuple[Tensor, Tensor]:
    """A and B of a window of length 1, whose ends are one point of the waves (arXiv:2206.12037).

    The sum of the waves there is the mean of the value that enters and of the one that leaves.
    """
    b = torch.tensor([1.0] + [math.sqrt(2) * (n % 2) for n in range(1, states)])
    a = -2 * torch.outer(b, b)
    for n in range(1, states, 2):
        turn = math.pi * (n + 1)
        a[n, n + 1] += turn
        a[n + 1, n] -= turn
    return a, 2 * b


System = Callable[[int], tuple[Tensor, Tensor]]
"""A and B for a number of states, of a window of length 1."""


def window(system: tuple[Tensor, Tensor], length: float, w: Weights, x: Tensor) -> Tensor:
    """The solution of c' = (A c + B f) / w for a held token."""
    a, b = (part / length for part in system)
    kept = torch.linalg.matrix_exp(a)
    written = torch.linalg.solve(a, (kept - torch.eye(len(a))) @ b)
    c, rows = x.new_zeros(*x.shape[::2], len(b)), []
    for token in x.unbind(1):
        c = c @ kept.T + token[..., None] * written
        rows.append(c)
    return mapped(w, "output", torch.stack(rows, dim=1).flatten(2))


def _windowed(system: System, states: int, w: Weights, x: Tensor) -> Tensor:
    return window(system(states), 8.0, w, x)


LAWS = [
    definition("lru", lru, lengths=(9, 37)),
    definition("slru", lru, lengths=(9, 37)),
    definition(
        "s4d",
        s4d,
        ("inverse spectrum", partial(S4D, 3, states=6, spectrum=inverse_spectrum), s4d),
        lengths=(9, 37),
    ),
    definition("s4", s4, ("wide", partial(S4, 2, states=6), s4), lengths=(9, 10, 37)),
    definition(
        "hippo-legs",
        partial(legs, 6),
        ("two states", partial(HippoLegS, 3, states=2), partial(legs, 2)),
        lengths=(9, 37),
    ),
    definition("hippo-legt", partial(_windowed, legt_system, 6), lengths=(9, 37)),
    definition("hippo-fourier", partial(_windowed, fourier_system, 5), lengths=(9, 37)),
]
