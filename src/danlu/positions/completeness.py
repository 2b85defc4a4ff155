r"""What a rotation must do to be a relative position encoding, tested by numbers.

A map $p \mapsto R_p$ to orthogonal matrices encodes positions in scores when (1) it is relative,
$R_p^\top R_q = R_{q-p}$, and (2) it tells positions apart, $R_p \ne R_q$ for $p \ne q$. The first
makes it $\exp(\sum_a p_a B_a)$ with commuting skew $B_a$, so that all such encodings are the plain
one in another basis. Neither half is enough in two dimensions: one angle $(x + y) \theta$ is
relative and gives all points of a diagonal the same rotation; the quaternion $e^{x i + y j}$ tells
points apart and is not relative, since $i$ and $j$ do not commute.

Sources: kexue.fm/archives/8397 and 9403.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Point = tuple[int | float, ...]
Rotation = Callable[[Point], Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Completeness:
    """How far a rotation is from a relative encoding that tells positions apart.

    Attributes:
        orthogonal: largest entry of R^T R - I.
        relative: largest entry of R_p^T R_q - R_{q-p}.
        apart: smallest distance (largest entry of the difference) of two positions' rotations.
    """

    orthogonal: float
    relative: float
    apart: float

    def explain(self, tolerance: float = 1e-6) -> str:
        """The verdict in words."""
        if self.orthogonal > tolerance:
            return "It is not orthogonal: it changes the norm of queries and keys."
        if self.relative > tolerance:
            return "It is not relative: its generators do not commute, scores see absolute places."
        if self.apart <= tolerance:
            return "It is relative, but different positions have the same rotation."
        return "It is relative and tells positions apart: rotary encoding in some basis."


def completeness(rotation: Rotation, points: Iterable[Point]) -> Completeness:
    """Test a rotation on all pairs of some points."""
    places = list(points)
    matrices = {point: rotation(point) for point in places}
    worst, relative, apart = 0.0, 0.0, float("inf")
    for p, at_p in matrices.items():
        eye = torch.eye(len(at_p), dtype=at_p.dtype, device=at_p.device)
        worst = max(worst, _distance(at_p.T @ at_p, eye))
        for q, at_q in matrices.items():
            shift = tuple(b - a for a, b in zip(p, q, strict=True))
            relative = max(relative, _distance(at_p.T @ at_q, rotation(shift)))
            if p != q:
                apart = min(apart, _distance(at_p, at_q))
    return Completeness(orthogonal=worst, relative=relative, apart=apart)


def _distance(a: Float[Tensor, "rows columns"], b: Float[Tensor, "rows columns"]) -> float:
    return (a - b).abs().max().item()
