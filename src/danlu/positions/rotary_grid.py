r"""Rotary encoding of points with several coordinates, as of pixels, volumes or irregular sites.

The features of a head are shared out among the axes, and each part turns by its own coordinate:
$R_p = \mathrm{blockdiag}(R_{p_1}, R_{p_2}, \dots)$. Hence $R_p^\top R_q = R_{q-p}$ in every axis
at once, and different points get different rotations.

Use it for grids and for points in space; coordinates may be floats.

Sources: kexue.fm/archives/8397; arXiv:2104.09864.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.positions.base import Positions
from danlu.positions.frequencies import geometric
from danlu.positions.rotary import Layout, Rotary


class RotaryGrid(Rotary):
    """Turns heads of size `dim`, a multiple of 2 * axes, at positions of `axes` coordinates."""

    def __init__(
        self, dim: int, *, axes: int = 2, base: float = 10_000.0, layout: Layout = "half"
    ) -> None:
        if axes < 1 or dim % (2 * axes):
            raise DanluError(f"{axes} axes cannot share a head of {dim} in pairs.")
        super().__init__(dim, layout=layout, frequencies=geometric(dim // axes, base) * axes)
        self.axes = axes
        pairs = dim // (2 * axes)
        self.axis_of_pair = tuple(pair // pairs for pair in range(dim // 2))

    @override
    def angles(
        self, positions: Positions, dtype: torch.dtype
    ) -> Float[Tensor, "batch length pairs"]:
        if positions.ndim != 3 or positions.shape[-1] != self.axes:
            raise DanluError(
                f"Positions need a last axis of {self.axes} coordinates, "
                f"got the shape {tuple(positions.shape)}."
            )
        theta = torch.tensor(self.frequencies, dtype=dtype, device=positions.device)
        axis = torch.tensor(self.axis_of_pair, device=positions.device)
        return positions.index_select(-1, axis).to(dtype) * theta
