r"""Embedding of a time or noise level by sines and cosines of geometric frequencies.

$e(t) = [\cos(\omega_i t), \sin(\omega_i t)]$ with $\omega_i$ from 1 to `highest`.

Sources: arXiv:1706.03762 §3.5, arXiv:2006.11239.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from danlu.contracts import DanluError


class TimeEmbedding(nn.Module):
    """`[batch]` numbers to `[batch, dim]` features; `dim` must be even."""

    omega: Float[Tensor, " pairs"]

    def __init__(self, dim: int, *, highest: float = 200.0) -> None:
        super().__init__()
        if dim % 2:
            raise DanluError(f"TimeEmbedding needs an even dim, got {dim}.")
        exponent = torch.linspace(0, 1, dim // 2)
        self.register_buffer("omega", highest**exponent, persistent=False)

    def forward(self, t: Float[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
        """Features of each time."""
        angle = t[:, None] * self.omega
        return torch.cat([angle.cos(), angle.sin()], dim=-1) * math.sqrt(2.0)
