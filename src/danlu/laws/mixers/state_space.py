"""Laws of the recurrent and state-space mixers: their formulas, by other ways of computing them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from danlu.laws.draws import seed
from danlu.laws.gaps import excess, gap, largest
from danlu.laws.law import Rows, table
from danlu.mixers.lru import LRU
from danlu.mixers.s4d import S4D, Spectrum, inverse_spectrum, linear_spectrum
from danlu.mixers.slru import SLRU


def normalised(kind: type[LRU]) -> Callable[[], float]:
    """The variance of a state under white input: the sum of squares of its response."""

    def error() -> float:
        torch.manual_seed(seed())
        layer = kind(6, states=40, radii=(0.5, 0.99)).double()
        impulse = torch.zeros(1, 2048, 6)
        impulse[:, 0, 0] = 1.0
        with torch.no_grad():
            layer.inward.weight.zero_()
            layer.inward.weight[:: layer.part, 0] = 1.0  # each state gets a real impulse
            h = layer.advance(impulse, layer.empty(impulse))
        return gap(h.square().sum((0, 1, 3)), 1)

    return error


def stable() -> float:
    """No parameters make a decay larger than 1."""
    worst = 0.0
    for stream in range(20):
        torch.manual_seed(seed(stream))
        layer = LRU(4)
        with torch.no_grad():
            layer.log_rate.add_(5 * torch.randn(4))
            size = torch.linalg.matrix_norm(layer._powers(1)[1], 2)
        worst = largest(worst, excess(size, 1.0))
    return worst


def rings() -> float:
    """Decays start in the ring, angles below the largest."""
    torch.manual_seed(seed())
    layer = LRU(2, states=2000, radii=(0.9, 0.999), largest_angle=0.3)
    assert layer.log_angle is not None
    size, angle = (-layer.log_rate.exp()).exp(), layer.log_angle.exp()
    return largest(excess(-size, -0.9), excess(size, 0.999), excess(angle, 0.3))


def vandermonde(spectrum: Spectrum) -> Callable[[], float]:
    """The kernel against the sum over complex exponentials in numpy."""

    def error() -> float:
        torch.manual_seed(seed())
        layer = S4D(3, states=8, spectrum=spectrum).double()
        names = ("log_step", "log_rate", "frequency", "out")
        step, rate, frequency, out = (getattr(layer, n).detach().numpy() for n in names)
        pole = -np.exp(rate) + 1j * frequency
        step = np.exp(step)[:, None]
        weight = (out[..., 0] + 1j * out[..., 1]) * (np.exp(step * pole) - 1) / pole
        k = np.arange(50)[:, None, None]
        expected = 2 * (weight * np.exp(step * pole * k)).sum(-1).real
        return gap(layer.kernel(50).detach().numpy(), expected.T)

    return error


def sampled() -> float:
    """A step solves the system for a held input."""
    from scipy.signal import cont2discrete

    torch.manual_seed(seed())
    layer = S4D(1, states=4).double()
    pole = (-layer.log_rate.exp() + 1j * layer.frequency)[0].detach().numpy()
    system = (np.diag(pole), np.ones((2, 1)), np.ones((1, 2)), np.zeros((1, 1)))
    discrete: Any = cont2discrete(system, layer.log_step.exp().item(), "zoh")
    h, u = torch.randn(1, 1, 2, 2), torch.randn(1, 1)
    before = torch.view_as_complex(h)[0, 0].numpy()
    expected = discrete[0] @ before + discrete[1][:, 0] * u.item()
    found = torch.view_as_complex(layer.step_on(u, h).detach().contiguous())[0, 0].numpy()
    return gap(found, expected)


_LAWS: Rows = {
    "closed form": [
        ("mixers/lru/variance", "white noise keeps its variance", 1e-12, normalised(LRU)),
        ("mixers/slru/variance", "white noise keeps its variance", 1e-12, normalised(SLRU)),
    ],
    "contract": [
        ("mixers/lru/stable", 1e-12, stable),
        ("mixers/lru/ring", 1e-12, rings),
    ],
    "definition": [
        (
            "mixers/s4d/kernel",
            "the kernel is a Vandermonde sum",
            1e-12,
            vandermonde(linear_spectrum),
        ),
        ("mixers/s4d/inverse-kernel", "so with other poles", 1e-12, vandermonde(inverse_spectrum)),
    ],
    "independent package": [
        ("mixers/s4d/held-input", 1e-12, sampled),
    ],
}

LAWS = table(_LAWS)
