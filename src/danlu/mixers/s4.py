r"""S4: a linear system for each channel, diagonal but for one rank, with HiPPO's memory at first.

$\dot h = (\Lambda - P P^*) h + B u$, $y = 2\operatorname{Re}(C h) + D u$, in steps of the bilinear
rule, $\bar A = (I - \tfrac\Delta2 A)^{-1}(I + \tfrac\Delta2 A)$ and
$\bar B = (I - \tfrac\Delta2 A)^{-1} \Delta B$. The kernel's generating function at the roots of
unity $z$ is a sum of Cauchy kernels: with $\tilde C = C(I - \bar A^L)$ and
$\kappa_{ab} = \sum_n a_n b_n / (\tfrac2\Delta (1 - z) - \Lambda_n (1 + z))$,

$$\hat K(z) = 2\left(\kappa_{\tilde C B}
  - \frac{(1 + z)\,\kappa_{\tilde C P}\,\kappa_{P^* B}}{1 + (1 + z)\,\kappa_{P^* P}}\right).$$

Multiplying by $1 + z$ once removes the pole at $z = -1$ of the usual writing. At first $A$ is
HiPPO-LegS in the basis that makes its normal part diagonal.

Use it for long signals with a regular clock where S4D falls short.

Sources: arXiv:2111.00396 theorem 3 and appendix C; arXiv:2008.07669 (HiPPO).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.layers.hippo import legs_system
from danlu.layers.pairs import as_complex, conjugate, divided, times, twice_real
from danlu.layers.precision import wide, widened
from danlu.layers.scans.state_space import orbit
from danlu.mixers.channel_systems import ChannelSystems, in_blocks
from danlu.optim.parameters import Rule


def diagonal_and_rank_one(states: int) -> tuple[Tensor, Tensor, Tensor]:
    r"""$\Lambda$, $P$ and $B$ of HiPPO-LegS, one of each pair of conjugates, as complex numbers.

    $A + P P^\top$ with $P_n = \sqrt{n + 1/2}$ is minus a half and a skew matrix, whose eigenvectors
    are orthonormal.
    """
    a, b = legs_system(states)
    p = (torch.arange(states, dtype=torch.float64) + 0.5).sqrt()
    skew = a + torch.outer(p, p) + 0.5 * torch.eye(states, dtype=torch.float64)
    frequency, basis = torch.linalg.eigh(-1j * skew)
    half = slice(states // 2, None)  # the positive ones
    turn = basis.mH.to(torch.complex128)
    return (
        -0.5 + 1j * frequency[half],
        (turn @ p.to(torch.complex128))[half],
        (turn @ b.to(torch.complex128))[half],
    )


class S4(ChannelSystems):
    """Systems of a diagonal and one rank; see `ChannelSystems` for what they share with S4D.

    Args:
        dim: width of a token.
        states: size of the state of a channel, complex numbers and their conjugates together.
        steps: smallest and largest step of time at first.
    """

    def __init__(
        self, dim: int, *, states: int = 64, steps: tuple[float, float] = (1e-3, 1e-1)
    ) -> None:
        super().__init__(dim, states=states, steps=steps)
        poles, rank, write = diagonal_and_rank_one(states)
        kind = torch.get_default_dtype()
        self.log_rate = nn.Parameter((-poles.real).log().to(kind).repeat(dim, 1))
        self.frequency = nn.Parameter(poles.imag.to(kind).repeat(dim, 1))
        self.rank, self.write = (
            nn.Parameter(torch.view_as_real(part).to(kind).repeat(dim, 1, 1))
            for part in (rank, write)
        )

    def parameter_rules(self) -> dict[str, Rule]:
        """The dynamics learn slowly and do not fade."""
        names = ("log_step", "log_rate", "frequency", "rank", "write")
        return dict.fromkeys(names, Rule(decay=0.0, rate=0.25))

    @override
    def step_on(self, u: Tensor, h: Tensor) -> Tensor:
        return self._bilinear(h, u[..., None, None] * self.write)

    @override
    def orbits(self, count: int) -> tuple[Tensor, Tensor]:
        matrix = self._matrix()
        write = self._bilinear(torch.zeros_like(self.write), self.write).flatten(1)
        return orbit(matrix, write, count), orbit(matrix.mT, self._reading(), count + 1)

    @override
    def go_on(self, count: int) -> Callable[[Tensor], Tensor]:
        power = torch.matrix_power(self._matrix(), count)
        return lambda h: (power @ h[..., None])[..., 0]

    @override
    def kernel(self, length: int) -> Tensor:
        out = self._reading()
        power = torch.matrix_power(self._matrix(), length)
        cut = (out - (power.mT @ out[..., None])[..., 0]).unflatten(-1, (self.pairs, 2))
        cut = as_complex(torch.stack([cut[..., 0] / 2, -cut[..., 1] / 2], dim=-1))
        write, rank = as_complex(widened(self.write)), as_complex(widened(self.rank))
        speed = (2 * (-widened(self.log_step)).exp())[:, None, None]
        pole = as_complex(self._poles())[:, None]

        def response(turn: Tensor) -> Tensor:
            z = torch.polar(torch.ones_like(turn), turn)
            near, far = (
                speed * (1 - z)[:, None] - each * (1 + z)[:, None] for each in (pole, pole.conj())
            )

            def cauchy(a: Tensor, b: Tensor) -> Tensor:
                product = (a * b)[:, None]
                return (product / near + product.conj() / far).sum(-1)

            through = cauchy(cut, rank) * cauchy(rank.conj(), write)
            bent = (1 + z) * through / (1 + (1 + z) * cauchy(rank.conj(), rank))
            return 2 * (cauchy(cut, write) - bent)

        turn = torch.arange(length // 2 + 1, device=out.device) * (-2 * torch.pi / length)
        return torch.fft.irfft(in_blocks(response, turn.to(out.dtype)), n=length)

    def _poles(self) -> Float[Tensor, "dim pairs 2"]:
        return torch.stack([-widened(self.log_rate).exp(), widened(self.frequency)], dim=-1)

    def _reading(self) -> Float[Tensor, "dim states"]:
        """2 Re(C h) as a product of real vectors."""
        out = widened(self.out)
        return torch.stack([2 * out[..., 0], -2 * out[..., 1]], dim=-1).flatten(1)

    def _matrix(self) -> Float[Tensor, "dim states states"]:
        """The step without input as a real matrix for each channel."""
        basis = torch.eye(2 * self.pairs, dtype=wide(self.out), device=self.out.device)
        basis = basis.unflatten(-1, (self.pairs, 2))[:, None].expand(-1, self.dim, -1, -1)
        return self._bilinear(basis, torch.zeros_like(self.write)).flatten(2).permute(1, 2, 0)

    def _bilinear(self, h: Tensor, held: Tensor) -> Tensor:
        """One step: forward by half, what enters, then backward by half through one rank."""
        pole, rank = self._poles(), widened(self.rank)
        step = widened(self.log_step).exp()[:, None, None]
        row = conjugate(rank)
        h = h + step / 2 * (times(pole, h) - rank * _sum(row, h)) + step * held
        diagonal = h.new_tensor([1.0, 0.0]) - step / 2 * pole
        h, rank = divided(h, diagonal), divided(rank, diagonal)
        share = step / 2 * _sum(row, h) / (1 + step / 2 * _sum(row, rank))
        return h - rank * share


def _sum(row: Tensor, h: Tensor) -> Tensor:
    """The product of a row and a state, both with their conjugates: a real number."""
    return twice_real(times(row, h))[..., None, None]
