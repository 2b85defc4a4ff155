"""HiPPO's Fourier window where its ends differ: S4-FouT's matrix, its limit and its memory."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from danlu.laws.draws import generator
from danlu.laws.gaps import gap
from danlu.laws.law import Case, stated
from danlu.layers.hippo import fourier, fourier_system, gauss
from danlu.mixers.hippo_fourier import HippoFourier


def published() -> float:
    """The system is S4-FouT's."""
    root, turn = 2 * math.sqrt(2), 2 * math.pi
    a = [
        [-2, -root, 0, -root, 0],
        [-root, -4, turn, -4, 0],
        [0, -turn, 0, 0, 0],
        [-root, -4, 0, -4, 2 * turn],
        [0, 0, 0, -2 * turn, 0],
    ]
    b = [2, root, 0, root, 0]
    expected = [torch.tensor(part, dtype=torch.float64) for part in (a, b)]
    return gap(list(fourier_system(5)), expected)


def _signal(time: Tensor) -> Tensor:
    return 0.3 + time - 0.4 * time**2 + (1.7 * time).sin()


def slopes() -> Iterable[Case]:
    """Slopes of coefficients, to 1 / N of a jump.

    Their true slope is f(in) - f(out) beside the turning; quadrature gives the coefficients. What
    remains of a Fourier sum at a jump falls as 1 / N.
    """
    nodes, weights = gauss(600)
    entered, left = _signal(torch.ones(1).double()), _signal(torch.zeros(1).double())
    for count in (21, 81, 321):

        def excess(count: int = count) -> float:
            a, b = fourier_system(count)
            at_end = fourier(torch.ones(1, dtype=torch.float64), count)[0]
            c = (weights * _signal(nodes)) @ fourier(nodes, count)
            turned = a + 2 * torch.outer(at_end, at_end)
            exact = turned @ c + at_end * (entered - left)
            return count * gap(a @ c + b * entered, exact)

        yield f"{count} waves", excess


def remembered() -> float:
    """15 numbers keep a window to a fifth."""
    time = (torch.arange(1024, dtype=torch.float64) + 0.5) / 1024
    size, phase = torch.rand(2, 8, 1, 64, generator=generator(), dtype=torch.float64)
    periods = torch.arange(1, 9, dtype=torch.float64)[:, None, None]
    angle = 2 * torch.pi * (periods * time[:, None] + phase)
    x = (size * angle.sin()).sum(0)[None]
    layer = HippoFourier(64, states=15, window=256.0).double()
    with torch.no_grad():
        c = layer.coefficients(x)[1]
        points = (torch.arange(256, dtype=torch.float64) + 0.5) / 256
        difference = layer.reconstruct(c, points) - x[:, -256:]
    return (difference.square().mean() / x[:, -256:].square().mean()).sqrt().item()


LAWS = [
    stated("mixers/hippo-fourier/published", 1e-12, published, "golden value"),
    stated("mixers/hippo-fourier/slopes", 2.0, slopes, "quadrature"),
    stated("mixers/hippo-fourier/memory", 0.2, remembered, "closed form"),
]
