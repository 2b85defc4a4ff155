r"""General rotary encoding: commuting skew generators, in a basis that may be trained.

$R_p = \exp(\sum_a p_a B_a)$ with $B_a^\top = -B_a$ and $B_a B_b = B_b B_a$ satisfies
$R_p^\top R_q = R_{q-p}$, and every smooth encoding with that property is of this kind. Commuting
skew matrices share an orthogonal basis $O$ in which they are blocks of two, so
$R_p = O\, \mathrm{rot}(\sum_a p_a \theta_a)\, O^\top$. The basis is trained as the Cayley transform
$O = (I - W)(I + W)^{-1}$ of a skew $W$, with the frequencies, or found from given generators.

With free query and key maps $O^\top$ is absorbed by them, and the plain encoding is complete; not
where queries and keys are normalised by feature, share a map, or pass through features.

Use it in those cases, and for positions with several coordinates.

Sources: kexue.fm/archives/9403.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.layers.precision import wide, widened
from danlu.optim.parameters import Rule, without_decay
from danlu.positions.base import KeyPositions, PositionEncoding, Positions
from danlu.positions.frequencies import geometric

TOLERANCE = 1e-8


class GeneralRotary(PositionEncoding):
    """Turns heads of size `dim` at positions of some coordinates, in a trained basis.

    Args:
        dim: size of a head, even.
        coordinates: of a position; with one, the axis may be missing.
        generators: `[axes, dim, dim]` commuting skew matrices, which are then kept as they are.
    """

    hooks = frozenset({"rotate"})
    relative = True

    def __init__(self, dim: int, *, coordinates: int = 1, generators: Tensor | None = None) -> None:
        super().__init__()
        if dim % 2:
            raise DanluError(f"GeneralRotary needs an even head size, got {dim}.")
        self.axes = coordinates if coordinates > 1 else 0
        if generators is None:
            theta = torch.tensor(geometric(dim))
            shares = [theta.roll(axis) for axis in range(coordinates)]
            self.frequencies = nn.Parameter(torch.stack(shares))
            self.skew = nn.Parameter(torch.randn(dim, dim) / dim)
        else:
            basis, frequencies = blocks_of(generators)
            self.register_buffer("fixed", basis)
            self.register_buffer("frequencies", frequencies)

    def parameter_rules(self) -> dict[str, Rule]:
        """Angles, which would fade, and the generator of a rotation, which has no size."""
        return without_decay("frequencies", "skew") if "fixed" not in self._buffers else {}

    @property
    def basis(self) -> Float[Tensor, "dim dim"]:
        """The orthogonal matrix O."""
        if "fixed" in self._buffers:
            return self.get_buffer("fixed")
        skew = widened(self.skew)  # no half precision has a solver
        skew = skew - skew.T
        eye = torch.eye(len(skew), dtype=skew.dtype, device=skew.device)
        return torch.linalg.solve(eye + skew, eye - skew)

    @override
    def rotate(
        self,
        q: Float[Tensor, "batch heads length dim"],
        k: Float[Tensor, "batch key_heads keys dim"],
        q_positions: Positions,
        k_positions: KeyPositions,
    ) -> tuple[Float[Tensor, "batch heads length dim"], Float[Tensor, "batch key_heads keys dim"]]:
        basis = self.basis.to(q.dtype)
        return self._turn(q, q_positions, basis), self._turn(k, k_positions, basis)

    def _turn(self, x: Tensor, positions: Tensor, basis: Tensor) -> Tensor:
        positions = positions[..., None] if positions.ndim == 2 else positions
        # No matrix product, which autocast would round: angles are large, and their turns count.
        places = positions[..., None].to(torch.promote_types(wide(x), wide(self.frequencies)))
        angle = (places * self.frequencies).sum(-2)[:, None]
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        a, b = (x @ basis).unflatten(-1, (-1, 2)).unbind(-1)
        turned = torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)
        return turned @ basis.T


def blocks_of(
    generators: Float[Tensor, "axes dim dim"],
) -> tuple[Float[Tensor, "dim dim"], Float[Tensor, "axes pairs"]]:
    """The basis in which commuting skew matrices are blocks of two, and their frequencies.

    Raises:
        DanluError: they are not skew, or do not commute.
    """
    matrices = generators.double().cpu()
    size = matrices.abs().max().clamp(min=1.0)
    if (matrices + matrices.mT).abs().max() > TOLERANCE * size:
        raise DanluError("Generators of rotations must be skew, B^T = -B.")
    # A generic sum has the blocks of all of them.
    weights = torch.tensor([1 / (1 + axis * 2**0.5) for axis in range(len(matrices))])
    total = (weights.double()[:, None, None] * matrices).sum(0)
    basis = torch.from_numpy(_paired(total))
    blocks = basis.T @ matrices @ basis
    first = torch.arange(0, len(total), 2)
    frequencies = blocks[:, first + 1, first]
    rest = blocks.clone()
    rest[:, first + 1, first] = 0.0
    rest[:, first, first + 1] = 0.0
    if rest.abs().max() > TOLERANCE * size:
        raise DanluError("Generators must commute with one another, and not share all of a plane.")
    dtype = generators.dtype
    return basis.to(dtype), frequencies.to(dtype)


def _paired(total: Float[Tensor, "dim dim"]) -> np.ndarray:
    """Columns in pairs of one plane each; directions that do not turn stand in pairs as well."""
    from scipy.linalg import schur  # the rest of the room needs torch alone

    form, basis = schur(total.numpy(), output="real")[:2]
    index, planes, still = 0, [], []
    while index < len(form):
        if index + 1 < len(form) and abs(form[index + 1, index]) > TOLERANCE:
            planes += [index, index + 1]
            index += 2
        else:
            still.append(index)
            index += 1
    return basis[:, planes + still]
