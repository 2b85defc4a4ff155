r"""S4D: a diagonal linear system with complex entries for each channel, integrated exactly.

$\dot h = A h + u$, $y = 2\operatorname{Re}(C h) + D u$ with diagonal $A$. While an input is held,
$\bar A = e^{\Delta A}$ and $\bar B = A^{-1}(\bar A - I)$, hence the kernel is a sum of powers,
$K_k = 2\operatorname{Re} \sum_n C_n \bar B_n \bar A_n^k$. At first
$A_n = -\tfrac12 + i\pi n$ (`linear_spectrum`), or the imaginary part is that of
`inverse_spectrum`; a negative real part is kept by an exponential.

Use it for long signals with a regular clock: it is as good as S4 and simpler.

Sources: arXiv:2206.11893 eq. 5-9 (S4D-Lin, S4D-Inv); arXiv:2203.14343.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.layers.pairs import divided, times, twice_real
from danlu.layers.precision import widened
from danlu.layers.scans.linear_recurrence import powers, powers_of, turned
from danlu.mixers.channel_systems import ChannelSystems, in_blocks
from danlu.optim.parameters import Rule

Spectrum = Callable[[int], Float[Tensor, " pairs"]]
"""The imaginary parts at first, for a number of pairs."""


def linear_spectrum(pairs: int) -> Float[Tensor, " pairs"]:
    r"""$\pi n$: the frequencies of a Fourier series."""
    return math.pi * torch.arange(pairs, dtype=torch.get_default_dtype())


def inverse_spectrum(pairs: int) -> Float[Tensor, " pairs"]:
    r"""$\frac{N}{\pi}\left(\frac{N}{2n + 1} - 1\right)$ with $N$ twice the pairs: close to LegS."""
    states = 2 * pairs
    n = torch.arange(pairs, dtype=torch.get_default_dtype())
    return states / math.pi * (states / (2 * n + 1) - 1)


class S4D(ChannelSystems):
    """Diagonal systems; see `ChannelSystems` for what they share with S4.

    Args:
        dim: width of a token.
        states: size of the state of a channel, complex numbers and their conjugates together.
        steps: smallest and largest step of time at first.
        spectrum: the imaginary parts at first.
    """

    def __init__(
        self,
        dim: int,
        *,
        states: int = 64,
        steps: tuple[float, float] = (1e-3, 1e-1),
        spectrum: Spectrum = linear_spectrum,
    ) -> None:
        super().__init__(dim, states=states, steps=steps)
        self.log_rate = nn.Parameter(torch.full((dim, self.pairs), math.log(0.5)))
        self.frequency = nn.Parameter(spectrum(self.pairs).repeat(dim, 1))

    def parameter_rules(self) -> dict[str, Rule]:
        """The dynamics learn slowly and do not fade."""
        slow = Rule(decay=0.0, rate=0.25)
        return dict.fromkeys(("log_step", "log_rate", "frequency"), slow)

    @override
    def step_on(self, u: Tensor, h: Tensor) -> Tensor:
        power = self._powers(2)
        return turned(power[1], h) + self._inward(power) * u[..., None, None]

    @override
    def orbits(self, count: int) -> tuple[Tensor, Tensor]:
        power = self._powers(count + 1)
        write = turned(power[:-1], self._inward(power)[None])
        weight = times(power[..., 0], self.out)
        # 2 Re(w h) as a product of real vectors.
        read = torch.stack([2 * weight[..., 0], -2 * weight[..., 1]], dim=-1)
        return write.flatten(2), read.flatten(2)

    @override
    def go_on(self, count: int) -> Callable[[Tensor], Tensor]:
        rate, angle = self._exponents()
        decay = powers(count * rate, count * angle, 2)[1]
        return lambda h: turned(decay, h.unflatten(-1, (self.pairs, 2))).flatten(2)

    @override
    def kernel(self, length: int) -> Tensor:
        weight = times(self._inward(self._powers(2)), self.out)

        def response(k: Tensor) -> Tensor:
            return twice_real(times(powers_of(k, *self._exponents())[..., 0], weight)).T

        rate = self._exponents()[0]
        return in_blocks(response, torch.arange(length, device=rate.device, dtype=rate.dtype))

    def _exponents(self) -> tuple[Tensor, Tensor]:
        step = widened(self.log_step).exp()[:, None]
        return -step * widened(self.log_rate).exp(), step * self.frequency

    def _powers(self, count: int) -> Tensor:
        return powers(*self._exponents(), count)

    def _inward(self, power: Tensor) -> Tensor:
        """What an input that is held for a step adds: (exp(step A) - 1) / A."""
        rate, frequency = widened(self.log_rate).exp(), widened(self.frequency)
        continuous = torch.stack([-rate, frequency], dim=-1)
        one = power.new_tensor([1.0, 0.0])
        return divided(power[1, ..., 0] - one, continuous)
