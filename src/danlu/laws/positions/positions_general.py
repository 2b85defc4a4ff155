"""Identities of general rotations: exponentials of their generators, powers of a matrix."""

import itertools

import torch
from scipy.linalg import expm
from torch import Tensor

from danlu.laws.draws import standard_normal
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Rows, table
from danlu.laws.mixers.sequences import refused
from danlu.laws.positions.positions_identities import GRID, matrix_at
from danlu.positions.completeness import completeness
from danlu.positions.general_rotary import GeneralRotary
from danlu.positions.orthogonal_power import OrthogonalPower

POINTS = ((1, 0), (0, 1), (3, -2))


def generators(still: float = 1.0) -> Tensor:
    """Two commuting skew matrices in a random basis; the first plane turns so much slower."""
    basis, _ = torch.linalg.qr(standard_normal(6, 6, stream=3))
    theta, found = standard_normal(2, 3, stream=4), []
    theta[:, 0] *= still
    for frequencies in theta:
        blocks = [torch.tensor([[0.0, -t], [t, 0.0]], dtype=basis.dtype) for t in frequencies]
        found.append(basis @ torch.block_diag(*blocks) @ basis.T)
    return torch.stack(found)


def general_is_exponential() -> float:
    """It is exp of its generators."""
    worst = 0.0
    for given, point in itertools.product((generators(), generators(0.0)), POINTS):
        position = GeneralRotary(6, coordinates=2, generators=given)
        total = torch.einsum("a,aij->ij", torch.tensor(point).double(), given)
        worst = largest(
            worst, gap(matrix_at(position, point, 6), torch.from_numpy(expm(total.numpy())))
        )
    trained = GeneralRotary(6, coordinates=2).double()
    found = completeness(lambda point: matrix_at(trained, point, 6), GRID)
    return largest(worst, found.relative, found.orthogonal, float(found.apart < 1e-3))


def general_refuses() -> float:
    """Other generators are refused."""
    skew = [each - each.T for each in standard_normal(2, 4, 4)]
    wrong = refused(lambda: GeneralRotary(4, generators=standard_normal(1, 4, 4)))
    plane = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    for size, error in itertools.product((1.0, 1e3), (0.8e-8, 1.2e-8)):
        bent = size * (plane + error / 2 * torch.eye(2))  # the tolerance is 1e-8 of the size
        answered = refused(lambda bent=bent: GeneralRotary(2, generators=bent[None]))
        wrong += gap(answered, float(error < 1e-8))
    return wrong + refused(lambda: GeneralRotary(4, coordinates=2, generators=torch.stack(skew)))


def basis_stays_orthogonal() -> float:
    """The basis stays orthogonal."""
    position = GeneralRotary(8).double()
    optimizer = torch.optim.SGD(position.parameters(), lr=1.0)
    x, place = standard_normal(1, 1, 5, 8), torch.arange(5)[None]
    for _ in range(5):
        optimizer.zero_grad()
        q, k = position.rotate(x, x + 1, place, place)
        (q @ k.transpose(-2, -1)).square().mean().backward()
        optimizer.step()
    return gap(position.basis.T @ position.basis, torch.eye(8, dtype=torch.float64))


def powers() -> float:
    """They are powers, determinant -1 too."""
    matrix, _ = torch.linalg.qr(standard_normal(5, 5, stream=1))
    matrix = matrix if torch.linalg.det(matrix) < 0 else -matrix
    position, power = OrthogonalPower(matrix), torch.eye(5, dtype=torch.float64)
    worst = 0.0
    for n in range(7):
        worst = largest(worst, gap(matrix_at(position, (n,), 5), power))
        worst = largest(worst, gap(matrix_at(position, (-n,), 5), power.T))
        power = matrix @ power
    floats = torch.zeros(1, 1)
    return worst + refused(lambda: position.power(standard_normal(1, 1, 1, 5), floats))


_LAWS: Rows = {
    "closed form": [
        ("rope-general/exponential", 1e-11, general_is_exponential),
    ],
    "definition": [
        ("orthogonal-power/powers", 1e-12, powers),
    ],
    "contract": [
        ("rope-general/refusals", 0.0, general_refuses),
        ("rope-general/basis", 1e-12, basis_stays_orthogonal),
    ],
}

LAWS = table(_LAWS, prefix="positions/")
