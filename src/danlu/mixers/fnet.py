r"""FNet: tokens are mixed by a Fourier transform, without any parameter.

$Y = \mathrm{Re}(F_n X F_d)$ with the discrete Fourier matrices $(F_n)_{jk} = e^{-2\pi i jk/n}$
over the tokens and $F_d$ over the features; $n$ is the length of the sequence itself, without its
padding. Unpadded rows take fast transforms, padded ones explicit matrices.

Use it in an encoder where speed matters more than the last points; between it and the next layer a
feed-forward part is needed, since it learns nothing.

Sources: arXiv:2105.03824 §3.2.
"""

import math

import torch
from jaxtyping import Int
from torch import Tensor
from typing_extensions import override

from danlu.contracts import SequenceContext, State
from danlu.layers.precision import full_precision, wide, widened
from danlu.mixers.base import Mixer


class FNet(Mixer):
    """The real part of a Fourier transform over tokens and features."""

    causal = False
    forms = ("fft", "parallel")

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        if form == "fft" and context.valid is None:
            if not x.shape[1]:
                return x, {}
            # Half precision has no transform of any length.
            return torch.fft.fft2(widened(x)).real.to(x.dtype), {}
        assert context.order is not None
        valid = context.valid
        if valid is None:
            valid = torch.ones_like(context.order, dtype=torch.bool)
        count = valid.sum(1).clamp(min=1)[:, None, None]
        # The angle modulo a turn, of whole numbers: their products would lose digits.
        turns = (context.order[:, :, None] * context.order[:, None]).remainder(count)
        cos, sin = _waves(turns, count, wide(x))
        feature = torch.arange(self.dim, device=x.device)
        turns = (feature[:, None] * feature).remainder(self.dim)
        cos_d, sin_d = _waves(turns, torch.full_like(feature, self.dim), wide(x))
        with full_precision(x):
            whole = widened(x * valid[..., None])
            return (cos @ whole @ cos_d - sin @ whole @ sin_d).to(x.dtype), {}


def _waves(
    turns: Int[Tensor, "*shape"], count: Int[Tensor, "..."], dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    angle = 2 * math.pi * (turns.to(dtype) / count.to(dtype))
    return angle.cos(), angle.sin()
