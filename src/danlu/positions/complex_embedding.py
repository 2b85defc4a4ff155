r"""Complex embedding: each feature of a word is a wave in the position.

A word has $r$, $\omega$ and $\varphi$ for every feature; at position $n$ the feature is
$r e^{i(\omega n + \varphi)}$, given as its real parts followed by its imaginary parts. The input is
therefore three halves of the output's width: amplitudes, frequencies, phases. With $\omega = 0$ a
word carries no position.

Use it where words should choose how much their place matters.

Sources: arXiv:1912.12333 eq. 5; kexue.fm/archives/8130.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext
from danlu.positions.base import PositionEncoding


class ComplexEmbedding(PositionEncoding):
    """Turns `[amplitudes, frequencies, phases]` of width 3 dim / 2 into waves of width `dim`."""

    hooks = frozenset({"embed"})

    @override
    def embed(
        self, x: Float[Tensor, "batch length width"], context: SequenceContext
    ) -> Float[Tensor, "batch length dim"]:
        if x.shape[-1] % 3:
            raise DanluError(f"Amplitudes, frequencies and phases are three, got {x.shape[-1]}.")
        assert context.positions is not None
        amplitude, frequency, phase = x.chunk(3, dim=-1)
        wide = torch.promote_types(x.dtype, torch.float32)
        angle = context.positions[..., None].to(wide) * frequency.to(wide) + phase.to(wide)
        waves = torch.cat([angle.cos(), angle.sin()], dim=-1).to(x.dtype)
        return waves * torch.cat([amplitude, amplitude], dim=-1)

    @override
    def input_width(self, dim: int) -> int:
        if dim % 2:
            raise DanluError(f"Real and imaginary parts need an even width, got {dim}.")
        return 3 * dim // 2
