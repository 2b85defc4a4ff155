r"""Dynamic NTK scaling: the base of a rotary model follows the length that it reads.

With $\ell$ the largest position of a row plus one and $L$ the length of training, the base is
$b\,\bigl(s\max(\ell, L)/L - (s - 1)\bigr)^{d/(d-2)}$ for $d$ features that turn: up to $L$ nothing
changes, and beyond it the slow pairs are stretched as far as the row needs.

All tokens of a call share one base, so that beyond $L$ what comes later changes what was before.
Keys that a layer keeps from earlier calls stay turned as they were: a longer text is best read
anew from its start.

Use it to lengthen a trained rotary model without training and without loss on short texts.

Sources: arXiv:2309.00071 §3.3 and its appendix on dynamic scaling, as transformers' `dynamic` has
it.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.positions.base import KeyPositions, Positions
from danlu.positions.frequencies import geometric
from danlu.positions.ntk import stretch
from danlu.positions.rotary import Layout, Rotary


class DynamicNTKRotary(Rotary):
    """Rotary encoding whose base grows beyond the `length` of training, `factor` times as fast."""

    relative = False

    def __init__(
        self,
        dim: int,
        *,
        length: int,
        factor: float = 1.0,
        base: float = 10_000.0,
        layout: Layout = "half",
        rotated: int | None = None,
    ) -> None:
        turning = dim if rotated is None else rotated
        frequencies = geometric(turning, base)
        super().__init__(dim, layout=layout, rotated=rotated, frequencies=frequencies)
        self.length, self.factor, self.power = length, factor, stretch(turning)

    @override
    def rotate(
        self,
        q: Float[Tensor, "batch heads length dim"],
        k: Float[Tensor, "batch key_heads keys dim"],
        q_positions: Positions,
        k_positions: KeyPositions,
    ) -> tuple[Float[Tensor, "batch heads length dim"], Float[Tensor, "batch key_heads keys dim"]]:
        # One base for both sides, else their difference of angles would not be of positions.
        places = torch.cat([q_positions, k_positions], dim=1)
        angle = self.angles(places, torch.promote_types(q.dtype, torch.float32))
        of_q, of_k = angle.split([q.shape[2], k.shape[2]], dim=1)
        return self.by(q, of_q), self.by(k, of_k)

    @override
    def angles(
        self, positions: Positions, dtype: torch.dtype
    ) -> Float[Tensor, "batch length pairs"]:
        theta = torch.tensor(self.frequencies, dtype=dtype, device=positions.device)
        if not positions.shape[1]:
            return positions[..., None].to(dtype) * theta
        reached = (positions.amax(1, keepdim=True).to(dtype) + 1).clamp(min=self.length)
        grown = (self.factor * reached / self.length - (self.factor - 1)) ** self.power
        pair = torch.arange(len(self.frequencies), dtype=dtype, device=positions.device)
        stretched = theta * grown[..., None] ** (-pair / len(self.frequencies))
        return positions[..., None].to(dtype) * stretched
