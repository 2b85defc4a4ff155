r"""M-RoPE: one rotary encoding for text, pictures and video, with time, height and width.

Each pair of features keeps its frequency of the plain encoding and belongs to one of three axes:
`blocks` gives the first $s_1$ pairs to time, the next $s_2$ to height and the rest to width;
`interleaved` deals them out in turn, as far as the sections of height and width reach, so that
every axis has fast and slow pairs. Text has three equal coordinates, which is the plain encoding:
positions of one axis are taken so.

Use it for sequences in which text and video stand together.

Sources: arXiv:2409.12191 §2.1 (Qwen2-VL); the interleaved order is that of Qwen3-VL.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError, unknown
from danlu.positions.base import Positions
from danlu.positions.frequencies import geometric
from danlu.positions.rotary import Layout
from danlu.positions.rotary_grid import RotaryGrid

Order = Literal["blocks", "interleaved"]


class MRoPE(RotaryGrid):
    """Turns heads of `dim` by three coordinates, `sections` pairs for each."""

    def __init__(
        self,
        dim: int,
        *,
        sections: tuple[int, int, int],
        order: Order = "blocks",
        base: float = 10_000.0,
        layout: Layout = "half",
    ) -> None:
        if sum(sections) != dim // 2 or min(sections) < 0:
            raise DanluError(f"The sections of {dim // 2} pairs are {sections}; they must add up.")
        if order not in get_args(Order):
            raise unknown("order of pairs", order, get_args(Order))
        super().__init__(dim, axes=1, base=base, layout=layout)
        self.axes, self.frequencies = 3, geometric(dim, base)
        if order == "blocks":
            axis = [axis for axis, pairs in enumerate(sections) for _ in range(pairs)]
        else:
            axis = [_dealt(pair, sections) for pair in range(dim // 2)]
        self.axis_of_pair = tuple(axis)

    @override
    def angles(
        self, positions: Positions, dtype: torch.dtype
    ) -> Float[Tensor, "batch length pairs"]:
        if positions.ndim == 2:
            positions = positions[..., None].expand(-1, -1, 3)
        return super().angles(positions, dtype)


def _dealt(pair: int, sections: tuple[int, int, int]) -> int:
    axis = pair % 3
    return axis if axis and pair < 3 * sections[axis] else 0
