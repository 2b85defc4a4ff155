r"""Rotary position encoding: turn each feature pair by an angle linear in position.

With $\theta_i = b^{-2i/d}$, the pair $i$ of a query or key at position $n$ is turned by
$n\theta_i$. Rotations compose, $R_m^\top R_n = R_{n-m}$, hence the score
$\langle R_m q, R_n k\rangle$ sees the positions only through $n - m$, and no norm changes.

Two layouts of the pairs are in use: `interleaved` (features 2i and 2i + 1: RoFormer, GPT-J) and
`half` (i and i + d/2: Llama, NeoX). They are one method up to a permutation of the rows of the
query and key maps, `permute_rope_weights`; mixing them up gives wrong numbers and no error. With
`rotated` < d the other features carry no position.

Use it as the default for attention, softmax or linear; positions may be floats.

Sources: arXiv:2104.09864 eq. 15; arXiv:2204.06745 (partial); kexue.fm/archives/8265.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.positions.base import KeyPositions, PositionEncoding, Positions
from danlu.positions.frequencies import geometric

Layout = Literal["interleaved", "half"]


class Rotary(PositionEncoding):
    """Turns queries and keys of heads of size `dim`.

    Args:
        dim: size of a head.
        layout: which features are a pair.
        rotated: how many features turn, the first ones; all unless given.
        frequencies: angle of each pair for one position; `geometric(rotated)` unless given.
        magnitude: factor on the features that turn; scores of these get its square.
    """

    hooks = frozenset({"rotate"})
    relative = True

    def __init__(
        self,
        dim: int,
        *,
        layout: Layout = "half",
        rotated: int | None = None,
        frequencies: tuple[float, ...] | None = None,
        magnitude: float = 1.0,
    ) -> None:
        super().__init__()
        rotated = dim if rotated is None else rotated
        self.magnitude = magnitude
        if rotated % 2 or not 0 <= rotated <= dim:
            raise DanluError(f"An even number of up to {dim} features can turn, got {rotated}.")
        if layout not in ("interleaved", "half"):
            raise DanluError(f"The layout is interleaved or half, got {layout!r}.")
        self.dim, self.layout, self.rotated = dim, layout, rotated
        self.frequencies = geometric(rotated) if frequencies is None else frequencies
        if len(self.frequencies) != rotated // 2:
            raise DanluError(f"{rotated} features are {rotated // 2} pairs, one frequency each.")

    @override
    def rotate(
        self,
        q: Float[Tensor, "batch heads length dim"],
        k: Float[Tensor, "batch key_heads keys dim"],
        q_positions: Positions,
        k_positions: KeyPositions,
    ) -> tuple[Float[Tensor, "batch heads length dim"], Float[Tensor, "batch key_heads keys dim"]]:
        return self.turn(q, q_positions), self.turn(k, k_positions)

    def turn(
        self, x: Float[Tensor, "batch heads length dim"], positions: Positions
    ) -> Float[Tensor, "batch heads length dim"]:
        """Heads at their positions."""
        if x.shape[-1] != self.dim:
            raise DanluError(f"Rotary was made for heads of {self.dim}, got {x.shape[-1]}.")
        # Angles stay in float32 or wider: bfloat16 cannot tell neighbouring positions apart.
        return self.by(x, self.angles(positions, torch.promote_types(x.dtype, torch.float32)))

    def by(
        self, x: Float[Tensor, "batch heads length dim"], angle: Float[Tensor, "..."]
    ) -> Float[Tensor, "batch heads length dim"]:
        """Heads turned by angles."""
        parts = (self.magnitude * angle.cos(), self.magnitude * angle.sin())
        cos, sin = (part.to(x.dtype)[:, None] for part in parts)
        turned, rest = x[..., : self.rotated], x[..., self.rotated :]
        if self.layout == "half":
            a, b = turned.chunk(2, dim=-1)
            return torch.cat([a * cos - b * sin, a * sin + b * cos, rest], dim=-1)
        a, b = turned[..., 0::2], turned[..., 1::2]
        pairs = torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1)
        return torch.cat([pairs.flatten(-2), rest], dim=-1)

    def angles(
        self, positions: Positions, dtype: torch.dtype
    ) -> Float[Tensor, "batch length pairs"]:
        """The angle of each pair at each position."""
        theta = torch.tensor(self.frequencies, dtype=dtype, device=positions.device)
        return positions[..., None].to(dtype) * theta


def permute_rope_weights(
    weight: Float[Tensor, "rows *columns"], heads: int, *, to: Layout
) -> Float[Tensor, "rows *columns"]:
    """Rows of a query or key map, or of its bias, for the other layout.

    Scores under the new layout are those of the old weights under the old one.
    """
    by_head = weight.unflatten(0, (heads, -1))
    if to == "half":
        parts = [by_head[:, 0::2], by_head[:, 1::2]]
        return torch.cat(parts, dim=1).flatten(0, 1)
    parts = by_head.unflatten(1, (2, -1))
    return parts.transpose(1, 2).flatten(0, 2)
