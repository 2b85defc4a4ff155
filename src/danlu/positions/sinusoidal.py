r"""Sinusoidal encoding: sines and cosines of the position are added to the input.

$p_{n,2i} = \sin(n \theta_i)$ and $p_{n,2i+1} = \cos(n \theta_i)$ with $\theta_i = b^{-2i/d}$, base
$b = 10^4$. A shift turns each pair, $p_{n+m} = R_m p_n$, so $p_m^\top p_n$ depends on $m - n$
alone.

Use it for a fixed absolute encoding of any length.

Sources: arXiv:1706.03762 §3.5; kexue.fm/archives/8231.
"""

import torch
from jaxtyping import Float, Num
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext
from danlu.positions.base import PositionEncoding
from danlu.positions.frequencies import geometric


class Sinusoidal(PositionEncoding):
    """Adds sines and cosines at frequencies 1 to 1/base; `dim` must be even."""

    hooks = frozenset({"embed"})

    def __init__(self, dim: int, *, base: float = 10_000.0) -> None:
        super().__init__()
        if dim % 2:
            raise DanluError(f"Sinusoidal needs an even width, got {dim}.")
        self.frequencies = geometric(dim, base)

    @override
    def embed(
        self, x: Float[Tensor, "batch length width"], context: SequenceContext
    ) -> Float[Tensor, "batch length dim"]:
        assert context.positions is not None
        return x + sinusoids(context.positions, self.frequencies, x.dtype)


def sinusoids(
    positions: Num[Tensor, "*batch"], frequencies: tuple[float, ...], dtype: torch.dtype
) -> Float[Tensor, "*batch features"]:
    """Sine and cosine in turn; angles in float32 or wider, which bfloat16 could not hold."""
    wide = torch.promote_types(dtype, torch.float32)
    theta = torch.tensor(frequencies, dtype=wide, device=positions.device)
    angle = positions[..., None].to(wide) * theta
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2).to(dtype)
