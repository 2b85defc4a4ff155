"""Definitions of the linear systems of layers, of HiPPO's functions and of complex pairs."""

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.integrate import quad
from scipy.special import eval_legendre
from torch import Tensor

from danlu.laws.gaps import gap, largest
from danlu.laws.mixers.definitions import Errors, compared, module_laws, numbers
from danlu.laws.mixers.definitions_systems import fourier_system, legt_system
from danlu.layers import hippo, pairs
from danlu.layers.scans import linear_recurrence, selective_scan, state_space

SHORT = 11

# --- systems that are the same at all times -------------------------------------------------------


def selection(
    x: Tensor, delta: Tensor, rate: Tensor, b: Tensor, c: Tensor, h: Tensor
) -> tuple[Tensor, Tensor]:
    """h_t = e^(Delta A) h_(t-1) + Delta x B, y = h C: all outputs and the last state."""
    rows = []
    for t in range(x.shape[1]):
        d = delta[:, t, :, None]
        h = (d * rate).exp() * h + d * x[:, t, :, None] * b[:, t, None]
        rows.append((h * c[:, t, None]).sum(-1))
    return torch.stack(rows, dim=1), h


def selective(scan: Callable[..., Any]) -> float:
    """A selective scan, whose inputs, steps, rates and state may be anything, beside its loop."""

    def inputs(length: int) -> list[Tensor]:
        x, delta = numbers(2, length, 3, stream=1), numbers(2, length, 3, stream=2).exp()
        write, of = numbers(2, length, 4, stream=3), numbers(2, length, 4, stream=4)
        return [x, delta, -numbers(3, 4, stream=5).exp(), write, of, numbers(2, 3, 4, stream=6)]

    def run(form: Callable[..., Any], *parts: Tensor) -> Tensor:
        return torch.cat([part.flatten() for part in form(*parts)])

    ways = partial(run, scan), partial(run, selection)
    return largest(compared(*ways, inputs(length)) for length in (5, 35))


def _complex(pair: Tensor) -> Tensor:
    return torch.complex(pair[..., 0], pair[..., 1])


def fading(form: Callable[..., Tensor], *, whole: bool) -> float:
    """h_t = lambda h_(t-1) + u_t with complex numbers as pairs, and with real ones."""
    worst, log, angle = 0.0, -numbers(3).exp(), numbers(3, stream=1)
    for part, chunk in ((2, 4), (1, 4), (2, SHORT)):
        u, start = numbers(2, SHORT, 3, part, stream=2), numbers(2, 3, part, stream=3)
        count = 1 + (SHORT if whole else chunk)

        def run(u: Tensor, start: Tensor, log: Tensor, angle: Tensor, *, n: int = count) -> Tensor:
            turn = angle if u.shape[-1] == 2 else None
            return form(u, linear_recurrence.powers(log, turn, n), start)

        def formula(u: Tensor, start: Tensor, log: Tensor, angle: Tensor) -> Tensor:
            pairs = u.shape[-1] == 2
            decay = torch.exp(torch.complex(log, angle)) if pairs else log.exp()
            u, h = (_complex(each) if pairs else each[..., 0] for each in (u, start))
            rows = []
            for token in u.unbind(1):
                h = decay * h + token
                rows.append(h)
            y = torch.stack(rows, dim=1)
            return torch.view_as_real(y) if pairs else y[..., None]

        worst = largest(worst, compared(run, formula, [u, start, log, angle]))
    return worst


def blocks() -> float:
    """Powers of e^{log + i angle} as rotations that shrink, and one applied to a pair."""
    log, angle, h = -numbers(3).exp(), numbers(3, stream=1), numbers(3, 2, stream=2)
    found = linear_recurrence.powers(log, angle, 5)
    real = linear_recurrence.powers(log, None, 5)[..., 0, 0]
    worst = gap(real, torch.exp(log) ** torch.arange(5)[:, None])
    for k in range(5):
        number = torch.exp(torch.complex(log, angle)) ** k
        rows = [[number.real, -number.imag], [number.imag, number.real]]
        expected = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
        turned = torch.view_as_real(number * _complex(h))
        worst = largest(
            worst, gap(found[k], expected), gap(linear_recurrence.turned(found[k], h), turned)
        )
    return worst


def system(run: str) -> float:
    """h_t = A h_(t-1) + B u_t, y_t = C h_t of each channel, from a state before."""
    length, chunk = SHORT, 4
    matrix, b, c = numbers(2, 3, 3) / 3, numbers(2, 3, stream=1), numbers(2, 3, stream=2)
    u, start = numbers(2, length, 2, stream=3), numbers(2, 2, 3, stream=4)
    h, rows, states = start, [], []
    for t in range(length):
        states += [h] if t % chunk == 0 else []
        h = torch.einsum("dnm,bdm->bdn", matrix, h) + b * u[:, t, :, None]
        rows.append((c * h).sum(-1))
    y, before = torch.stack(rows, dim=1), torch.stack(states, dim=1)

    def power(k: int) -> Tensor:
        return torch.linalg.matrix_power(matrix, k)

    write = torch.stack([torch.einsum("dnm,dm->dn", power(k), b) for k in range(chunk)])
    reading = torch.stack([torch.einsum("dnm,dn->dm", power(k), c) for k in range(chunk + 1)])
    kernel = torch.stack([torch.einsum("dn,dnm,dm->d", c, power(k), b) for k in range(length)], 1)
    ends = "dn,dnm,bdm->bd"
    silent = torch.stack(
        [torch.einsum(ends, c, power(t % chunk + 1), before[:, t // chunk]) for t in range(length)],
        dim=1,
    )
    old = [torch.einsum(ends, c, power(t + 1), start) for t in range(length)]
    empty = y - torch.stack(old, dim=1)

    def advance(count: int) -> Callable[[Tensor], Tensor]:
        return partial(torch.einsum, "dnm,bdm->bdn", power(count))

    square = torch.zeros(2, length, length)
    for t, s in itertools.product(range(length), repeat=2):
        square[:, t, s] = kernel[:, t - s] if s <= t else 0.0
    return {
        "orbit": lambda: largest(
            gap(state_space.orbit(matrix, b, n), write[:n]) for n in (1, 3, 4)
        ),
        "in_chunks": lambda: gap(state_space.in_chunks(u, write, reading, advance, start), (y, h)),
        "carried": lambda: gap(state_space.carried(u, write, advance, start), (before, h)),
        "recalled": lambda: gap(state_space.recalled(before, reading)[:, :length], silent),
        "by_fourier": lambda: gap(state_space.by_fourier(u, kernel), empty),
        "toeplitz": lambda: gap(state_space.toeplitz(kernel), square),
    }[run]()


# --- orthogonal functions -------------------------------------------------------------------------


def by_scipy(count: int, x: Tensor) -> Tensor:
    """sqrt(2n + 1) P_n(2x - 1) by scipy."""
    found = [math.sqrt(2 * n + 1) * eval_legendre(n, 2 * x.numpy() - 1) for n in range(count)]
    return torch.from_numpy(np.stack(found, axis=-1))


def functions() -> float:
    """Legendre functions, alone and with their norms, and their integrals by quadrature."""
    x = torch.linspace(0, 1, 7)
    size = (2 * torch.arange(6.0) + 1).sqrt()
    worst = largest(
        gap(hippo.legendre(x, 6), by_scipy(6, x) / size),
        gap(hippo.norms(6, x), size),
        gap(hippo.orthonormal(x, 6), by_scipy(6, x)),
        gap(hippo.legendre(x, 1), torch.ones(7, 1)),
    )
    for point in (0.0, 0.3, 1.0):
        area = [
            quad(lambda s, n=n: math.sqrt(2 * n + 1) * eval_legendre(n, 2 * s - 1), 0, point)[0]
            for n in range(6)
        ]
        worst = largest(worst, gap(hippo.integral(torch.tensor(point), 6), torch.tensor(area)))
    return worst


def waves() -> float:
    """1, sqrt(2) cos 2 pi n x and sqrt(2) sin 2 pi n x in turn."""
    x, root = torch.linspace(0, 1, 7), math.sqrt(2)
    found = [torch.ones(7)]
    for n in (1, 2):
        found += [root * (2 * math.pi * n * x).cos(), root * (2 * math.pi * n * x).sin()]
    return gap(hippo.fourier(x, 5), torch.stack(found, dim=-1))


def areas() -> float:
    """Gauss sums of powers below the degree 2 count, whose areas are 1 / (n + 1)."""
    nodes, weights = hippo.gauss(4)
    sums = torch.stack([(weights * nodes**n).sum() for n in range(8)])
    return gap(sums, 1 / (torch.arange(8.0) + 1))


def squeezed() -> float:
    """Coefficients of a function on a share of the past, by quadrature of the old polynomial."""
    ratio, nodes = 0.7, hippo.gauss(4)
    found = hippo.rescaled(torch.tensor(ratio), *nodes)
    expected = torch.empty(4, 4)
    for n, m in itertools.product(range(4), repeat=2):
        expected[n, m] = (
            ratio
            * quad(
                lambda x, n=n, m=m: (
                    math.sqrt((2 * n + 1) * (2 * m + 1))
                    * eval_legendre(n, 2 * ratio * x - 1)
                    * eval_legendre(m, 2 * x - 1)
                ),
                0,
                1,
            )[0]
        )
    return gap(found, expected)


def legs() -> float:
    """-sqrt((2n + 1)(2k + 1)) below the diagonal, -(n + 1) on it (theorem 2)."""
    a, b = torch.zeros(5, 5), torch.tensor([math.sqrt(2 * n + 1) for n in range(5)])
    for n, k in itertools.product(range(5), repeat=2):
        a[n, k] = -b[n] * b[k] if n > k else -(n + 1.0) * (n == k)
    return gap(hippo.legs_system(5), (a, b))


def held() -> float:
    """A step of a window against the series of its exponential, and the integral of it."""
    a, b = numbers(3, 3), numbers(3, stream=1)
    small, power, state, write = a / 8, torch.eye(3), torch.zeros(3, 3), torch.zeros(3)
    for n in range(30):
        state = state + power / math.gamma(n + 1)
        write = write + power @ b / 8 / math.gamma(n + 2)
        power = power @ small
    return gap(hippo.held((a, b), 8.0), (state, write))


# --- pairs ----------------------------------------------------------------------------------------


def complex_pairs(name: str) -> float:
    """Arithmetic of pairs against complex numbers."""
    a, b = numbers(2, 3, 2), numbers(2, 3, 2, stream=1)
    x, y = _complex(a), _complex(b)
    cases: dict[str, Any] = {
        "times": (pairs.times(a, b), torch.view_as_real(x * y)),
        "conjugate": (pairs.conjugate(a), torch.view_as_real(x.conj().resolve_conj())),
        "divided": (pairs.divided(a, b), torch.view_as_real(x / y)),
        "twice_real": (pairs.twice_real(a), (x + x.conj()).real.sum(-1)),
        "as_complex": (pairs.as_complex(a.mT.contiguous().mT), x),
    }
    return gap(*cases[name])


DEFINED: dict[str, Errors] = {
    "hippo": {
        "fourier": waves,
        "fourier_system": lambda: gap(hippo.fourier_system(5), fourier_system(5)),
        "gauss": areas,
        "held": held,
        "integral": functions,
        "legendre": functions,
        "legs_system": legs,
        "legt_system": lambda: gap(hippo.legt_system(5), legt_system(5)),
        "norms": functions,
        "orthonormal": functions,
        "rescaled": squeezed,
    },
    "linear_recurrence": {
        "powers": blocks,
        "turned": blocks,
        "scan": lambda: fading(linear_recurrence.scan, whole=False),
        "powers_of": blocks,
        "by_fourier": lambda: fading(linear_recurrence.by_fourier, whole=True),
    },
    "pairs": {
        name: partial(complex_pairs, name)
        for name in ("times", "conjugate", "divided", "twice_real", "as_complex")
    },
    "selective_scan": {
        name: partial(selective, getattr(selective_scan, name))
        for name in ("at_once", "in_chunks", "one_by_one")
    },
    "state_space": {
        name: partial(system, name)
        for name in ("orbit", "in_chunks", "carried", "recalled", "by_fourier", "toeplitz")
    },
}
"""Every public function of these modules, with the error against its definition."""

LAWS = module_laws(DEFINED)
