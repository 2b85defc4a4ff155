r"""The linear recurrent unit: a diagonal complex recurrence that is stable by construction.

$h_t = \lambda \odot h_{t-1} + \gamma \odot B x_t$, $y_t = \operatorname{Re}(C h_t) + D \odot x_t$
with $\lambda = \exp(-e^{\nu} + i e^{\theta})$, so that $|\lambda| < 1$ whatever is learned. At
first $|\lambda|^2$ is uniform on $[r_{\min}^2, r_{\max}^2]$, the angle uniform up to a largest one,
and $\gamma = \sqrt{1 - |\lambda|^2}$ makes a white input keep its variance in the state.

Use it for long memory at a cost linear in the length, without any gate; a feed-forward layer
beside it brings what is not linear.

Sources: arXiv:2303.06349 eq. 4-7 and algorithm 1; kexue.fm/archives/9554.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.layers.precision import full_precision, wide, widened
from danlu.layers.scans.linear_recurrence import by_fourier, powers, scan, turned
from danlu.mixers.time_invariant import CHUNK, TimeInvariant
from danlu.optim.parameters import Rule


def ring(states: int, radii: tuple[float, float]) -> Float[Tensor, " states"]:
    r"""$\log|\lambda|$ for $\lambda$ uniform on a ring of the complex plane."""
    low, high = radii
    return 0.5 * (torch.rand(states) * (high**2 - low**2) + low**2).log()


class LRU(TimeInvariant):
    """The linear recurrent unit.

    Args:
        dim: width of a token.
        states: number of complex numbers in the state; `dim` unless given.
        radii: of the ring of decays at first.
        largest_angle: of the decays at first, at most a turn; smaller for longer tasks.
    """

    part = 2

    def __init__(
        self,
        dim: int,
        *,
        states: int | None = None,
        radii: tuple[float, float] = (0.9, 0.999),
        largest_angle: float = math.pi / 10,
    ) -> None:
        super().__init__(dim)
        states = self.states = dim if states is None else states
        log_size = ring(states, radii)
        self.log_rate = nn.Parameter((-log_size).log())
        self.log_angle = self._angles(largest_angle)
        self.log_gain = nn.Parameter(0.5 * (-torch.expm1(2 * log_size)).log())
        self.inward = nn.Linear(dim, states * self.part, bias=False)
        self.outward = nn.Linear(states * self.part, dim, bias=False)
        self.skip = nn.Parameter(torch.randn(dim))
        # Complex normal entries of unit variance over the root of the width.
        nn.init.normal_(self.inward.weight, std=(self.part * dim) ** -0.5)
        nn.init.normal_(self.outward.weight, std=states**-0.5)

    def _angles(self, largest: float) -> nn.Parameter | None:
        return nn.Parameter((largest * torch.rand(self.states)).log())

    def parameter_rules(self) -> dict[str, Rule]:
        """The decays learn slowly and do not fade."""
        slow, names = Rule(decay=0.0, rate=0.25), ("log_rate", "log_angle", "log_gain")
        return {name: slow for name in names if getattr(self, name) is not None}

    @override
    def empty(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), self.states, self.part, dtype=wide(x))

    @override
    def respond(self, x: Tensor, start: Tensor, form: str) -> tuple[Tensor, Tensor]:
        u, length = self._inward(x), x.shape[1]
        power = self._powers(min(CHUNK, length) if form == "chunked" else length)
        with full_precision(x):
            h = (by_fourier if form == "fft" else scan)(u, power, start)
        return self.read(h, x), h[:, -1]

    @override
    def advance(self, x: Tensor, start: Tensor) -> Tensor:
        decay, states = self._powers(1)[1], [start]
        for new in self._inward(x).unbind(1):
            states.append(turned(decay, states[-1]) + new)
        return torch.stack(states[1:], dim=1)

    @override
    def read(self, h: Tensor, x: Tensor) -> Tensor:
        return self.outward(h.flatten(2).to(x.dtype)) + self.skip * x

    def _inward(self, x: Tensor) -> Tensor:
        u = widened(self.inward(x)).unflatten(-1, (self.states, self.part))
        return u * widened(self.log_gain).exp()[:, None]

    def _powers(self, highest: int) -> Tensor:
        angle = None if self.log_angle is None else widened(self.log_angle).exp()
        return powers(-widened(self.log_rate).exp(), angle, highest + 1)
