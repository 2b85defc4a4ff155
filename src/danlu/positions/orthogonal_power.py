r"""Powers of an orthogonal matrix: $R_n = O^n$ for integer positions, whatever the determinant.

$(O^m)^\top O^n = O^{n-m}$ for any orthogonal $O$, one with determinant $-1$ included, which is no
exponential of a skew matrix. In the real Schur basis $O$ turns planes by angles and keeps or flips
single directions, so a power costs no more than a rotation.

Use it to try rotations beyond the usual frequencies; positions must be integers.

Sources: kexue.fm/archives/9403.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.positions.base import KeyPositions, PositionEncoding, Positions

TOLERANCE = 1e-5


class OrthogonalPower(PositionEncoding):
    """Turns heads of the size of `matrix` by its powers.

    Raises:
        DanluError: the matrix is not orthogonal.
    """

    hooks = frozenset({"rotate"})
    relative = True
    basis: Float[Tensor, "dim dim"]

    def __init__(self, matrix: Float[Tensor, "dim dim"]) -> None:
        super().__init__()
        wide = matrix.double().cpu()
        if (wide.T @ wide - torch.eye(len(wide)).double()).abs().max() > TOLERANCE:
            raise DanluError("The matrix must be orthogonal, O^T O = I.")
        from scipy.linalg import schur  # the rest of the room needs torch alone

        form, basis = schur(wide.numpy(), output="real")[:2]
        planes, single, index = [], [], 0
        while index < len(form):
            width = 2 if index + 1 < len(form) and abs(form[index + 1, index]) > 1e-12 else 1
            (planes if width == 2 else single).append(index)
            index += width
        order = [column for plane in planes for column in (plane, plane + 1)] + single
        self.register_buffer("basis", torch.from_numpy(basis[:, order]).to(matrix.dtype))
        # Python floats: a buffer would be rounded with the model.
        self.angles = tuple(math.atan2(form[p + 1, p], form[p, p]) for p in planes)
        self.flips = tuple(bool(form[s, s] < 0) for s in single)

    @override
    def rotate(
        self,
        q: Float[Tensor, "batch heads length dim"],
        k: Float[Tensor, "batch key_heads keys dim"],
        q_positions: Positions,
        k_positions: KeyPositions,
    ) -> tuple[Float[Tensor, "batch heads length dim"], Float[Tensor, "batch key_heads keys dim"]]:
        return self.power(q, q_positions), self.power(k, k_positions)

    def power(
        self, x: Float[Tensor, "batch heads length dim"], positions: Positions
    ) -> Float[Tensor, "batch heads length dim"]:
        """Heads times the power at their positions.

        Raises:
            DanluError: positions are no integers, where a flip has no power.
        """
        if positions.is_floating_point():
            raise DanluError("Powers of an orthogonal matrix need integer positions.")
        wide = torch.promote_types(x.dtype, torch.float32)
        theta = torch.tensor(self.angles, dtype=wide, device=x.device)
        angle = (positions[..., None].to(wide) * theta)[:, None]
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        basis = self.basis.to(x.dtype)
        planes, single = (x @ basis).split([2 * len(theta), len(self.flips)], dim=-1)
        a, b = planes.unflatten(-1, (-1, 2)).unbind(-1)
        turned = torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)
        flips = torch.tensor(self.flips, dtype=torch.bool, device=x.device)
        odd = (positions[:, None, :, None] % 2 == 1) & flips
        return torch.cat([turned, torch.where(odd, -single, single)], dim=-1) @ basis.T
