"""Laws of the memories: HiPPO's systems, S4's kernel, and the gradient of the selective scan."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import eval_legendre
from torch import Tensor

from danlu.laws.draws import generator, numbers, seed
from danlu.laws.gaps import excess, gap, largest
from danlu.laws.law import Rows, table
from danlu.layers.hippo import (
    fourier,
    fourier_system,
    gauss,
    legs_system,
    legt_system,
    orthonormal,
    rescaled,
)
from danlu.layers.scans.selective_scan import at_once, in_chunks, one_by_one
from danlu.layers.scans.state_space import orbit
from danlu.mixers.hippo_fourier import HippoFourier
from danlu.mixers.hippo_legs import HippoLegS
from danlu.mixers.hippo_legt import HippoLegT
from danlu.mixers.polynomial_memory import PolynomialMemory
from danlu.mixers.s4 import S4, diagonal_and_rank_one


def projection() -> float:
    """A step is the Legendre projection."""
    states, length = 16, 200
    layer, rng = HippoLegS(1, states=states).double(), numbers()
    f = rng.standard_normal(length)
    found, _ = layer.coefficients(torch.from_numpy(f)[None, :, None], chunk=1)
    nodes, weights = np.polynomial.legendre.leggauss(states)
    worst = 0.0
    for tokens in (1, 2, 7, 50, length):
        x = (np.arange(tokens)[:, None] + (nodes + 1) / 2) / tokens
        for n in range(states):
            mean = (eval_legendre(n, 2 * x - 1) @ weights) / 2 / tokens
            expected = np.sqrt(2 * n + 1) * (mean * f[:tokens]).sum()
            worst = largest(worst, gap(found[0, tokens - 1, 0, n].item(), expected))
    return worst


def squeezed() -> float:
    """The old past is squeezed by exp(A log)."""
    a, _ = legs_system(8)
    ratio = torch.tensor([1.0, 0.9, 0.5, 0.2], dtype=torch.float64)
    expected = torch.linalg.matrix_exp(-a * ratio.log()[:, None, None])
    return gap(rescaled(ratio, *gauss(8)), expected)


def _signal(time: Tensor, waves: bool) -> Tensor:
    """A polynomial of degree 4, or waves of period 3."""
    if not waves:
        return 0.3 - time + 2 * time**2 - 0.5 * time**3 + 0.1 * time**4
    angle = 2 * torch.pi * time / 3
    return 0.4 + angle.sin() - 0.5 * (2 * angle).cos()


def exact(layer: PolynomialMemory, *, window: float | None, waves: bool = False) -> float:
    """Error of the system and of the reconstruction, for a signal that the functions hold."""
    system = {HippoLegS: legs_system, HippoLegT: legt_system, HippoFourier: fourier_system}
    (a, b), count = system[type(layer)](layer.states), 64
    x, w = gauss(count)

    def coefficients(time: Tensor) -> Tensor:
        size = time if window is None else window
        return (w * _signal(time - size * (1 - x), waves)) @ layer.basis(x)

    now = torch.tensor(5.0, dtype=torch.float64)
    c = coefficients(now)
    slope = torch.autograd.functional.jacobian(coefficients, now)
    size = now.item() if window is None else window
    points = torch.linspace(0, 1, 33, dtype=torch.float64)
    again = layer.reconstruct(c[None], points)[:, 0] - _signal(now - size * (1 - points), waves)
    system_error = size * slope - (a @ c + b * _signal(now, waves))
    return largest(gap(again, 0.0), gap(system_error, 0.0))


def basis_error(functions: Callable[[Tensor, int], Tensor], count: int) -> float:
    """Distance of the functions' products on [0, 1] from the identity."""
    nodes, weights = gauss(80)
    values = functions(nodes, count)
    products = values.mT @ (weights[:, None] * values)
    return gap(products, torch.eye(count, dtype=torch.float64))


def cauchy() -> float:
    """The Cauchy kernel is powers of the matrix."""
    torch.manual_seed(seed())
    layer, worst = S4(3, states=16).double(), 0.0
    for length in (1, 2, 33, 256):
        write, read = layer.orbits(1)
        powers = orbit(layer._matrix(), write[0], length)
        expected = torch.einsum("kdn,dn->dk", powers, read[0])
        worst = largest(worst, gap(layer.kernel(length), expected))
    return worst


def normal_plus_low_rank() -> float:
    """The first system is HiPPO-LegS."""
    states = 16
    poles, rank, write = diagonal_and_rank_one(states)
    a, b = legs_system(states)
    whole = [torch.cat([part, part.conj()]) for part in (poles, rank, write)]
    system = torch.diag(whole[0]) - torch.outer(whole[1], whole[1].conj())
    worst = 0.0
    for s in (0.3 + 0j, 1.0 + 2j, 5j):
        eye = s * torch.eye(states, dtype=torch.complex128)
        # P stands in both bases, hence P* (s - A)^-1 B does not depend on the basis.
        p = (torch.arange(states, dtype=torch.float64) + 0.5).sqrt().to(torch.complex128)
        ours = whole[1].conj() @ torch.linalg.solve(eye - system, whole[2])
        theirs = p @ torch.linalg.solve(eye - a.to(torch.complex128), b.to(torch.complex128))
        worst = largest(worst, gap(ours, theirs))
    return worst


def _scanned(length: int) -> list[Tensor]:
    source = generator()
    shapes = [(2, length, 3), (2, length, 3), (3, 4), (2, length, 4), (2, length, 4), (2, 3, 4)]
    parts = [torch.randn(s, generator=source, dtype=torch.float64) for s in shapes]
    parts[1], parts[2] = parts[1].exp(), -parts[2].exp()
    return [part.requires_grad_() for part in parts]


def differences() -> float:
    """The scan's own gradient is that of differences."""
    torch.autograd.gradcheck(in_chunks, _scanned(3))
    return 1.0 - float(torch.autograd.gradcheck(in_chunks, _scanned(35), fast_mode=True))


def scans() -> float:
    """The three scans agree, gradients included."""
    found = []
    for scan in (one_by_one, in_chunks, at_once):
        parts = _scanned(70)
        y, memory = scan(*parts)
        total = (y * y.detach().sin()).sum() + memory.square().sum()
        found.append([y.detach(), memory.detach(), *torch.autograd.grad(total, parts)])
    return largest(
        gap(ours, theirs) / (1 + theirs.abs().max().item())
        for other in found[1:]
        for ours, theirs in zip(other, found[0], strict=True)
    )


def kept() -> float:
    """The states of all tokens are not kept."""
    sizes: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: (sizes.append(t.numel()), t)[1], lambda t: t
    ):
        in_chunks(*_scanned(320))
    whole, inputs = 320 * 2 * 3 * 4, sum(part.numel() for part in _scanned(320))
    return excess((sum(sizes) - inputs) / whole, 11 / 320)


_LAWS: Rows = {
    "quadrature": [
        ("mixers/hippo-legs/projection", 1e-12, projection),
        (
            "mixers/hippo-legs/orthonormal",
            "the functions are orthonormal",
            1e-12,
            lambda: basis_error(orthonormal, 20),
        ),
        (
            "mixers/hippo-fourier/orthonormal",
            "the functions are orthonormal",
            1e-12,
            lambda: basis_error(fourier, 9),
        ),
    ],
    "closed form": [
        ("mixers/hippo-legs/squeeze", 1e-12, squeezed),
    ],
    "automatic differentiation": [
        (
            "mixers/hippo-legs/polynomials",
            "polynomials obey the system and are reconstructed",
            1e-11,
            lambda: exact(HippoLegS(1, states=8), window=None),
        ),
        (
            "mixers/hippo-legt/polynomials",
            "polynomials obey the system and are reconstructed",
            1e-11,
            lambda: exact(HippoLegT(1, states=8), window=2.0),
        ),
        (
            "mixers/hippo-fourier/waves",
            "waves obey the system and are reconstructed",
            1e-11,
            lambda: exact(HippoFourier(1, states=9), window=3.0, waves=True),
        ),
    ],
    "self-consistency": [
        ("mixers/s4/cauchy", 1e-12, cauchy),
        ("mixers/s4/low-rank", 1e-11, normal_plus_low_rank),
        ("mixers/mamba/scans", 1e-12, scans),
    ],
    "finite differences": [
        ("mixers/mamba/scan-gradient", 0.0, differences),
    ],
    "contract": [
        ("mixers/mamba/kept", 0.0, kept),
    ],
}

LAWS = table(_LAWS)
