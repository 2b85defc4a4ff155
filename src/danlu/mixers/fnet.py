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
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import SequenceContext, State
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
            wide = torch.promote_types(x.dtype, torch.float32)
            return torch.fft.fft2(x.to(wide)).real.to(x.dtype), {}
        assert context.order is not None
        valid = context.valid
        if valid is None:
            valid = torch.ones_like(context.order, dtype=torch.bool)
        order = context.order.to(x.dtype)
        count = valid.sum(1).clamp(min=1).to(x.dtype)
        # The angle modulo a turn: large products of indices would lose digits.
        turns = (order[:, :, None] * order[:, None]).remainder(count[:, None, None])
        cos, sin = _waves(turns / count[:, None, None])
        feature = torch.arange(self.dim, device=x.device, dtype=x.dtype)
        cos_d, sin_d = _waves((feature[:, None] * feature).remainder(self.dim) / self.dim)
        x = x * valid[..., None]
        return cos @ x @ cos_d - sin @ x @ sin_d, {}


def _waves(turns: Float[Tensor, "*shape"]) -> tuple[Tensor, Tensor]:
    angle = 2 * math.pi * turns
    return angle.cos(), angle.sin()
