r"""Rescaled guidance: give guided examples the contrast of unguided ones.

Guidance with a large scale spreads the numbers of an example too far. With the deviation over the
numbers of each example, the guided $D$ becomes

$\varphi\,\frac{\text{std}(D_c)}{\text{std}(D)}\,D + (1 - \varphi)\,D$.

Use it around another guidance with a large scale; the usual share $\varphi$ is 0.7.

Sources: arXiv:2305.08891 eq. 14-16.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DanluError
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.guidance.guidance import Guidance, Remembered
from danlu.layers.rows import per_row


class Rescaled:
    """Another guidance with each example's deviation brought back; no further evaluation.

    Args:
        inner: the guidance that spreads.
        share: phi, how much of the way back is gone.

    Raises:
        DanluError: the share lies outside [0, 1].
    """

    def __init__(self, inner: Guidance, share: float = 0.7) -> None:
        if not 0.0 <= share <= 1.0:
            raise DanluError(f"Guidance is rescaled by a share from 0 to 1, got {share}.")
        self.inner = inner
        self.share = share

    def __call__(self, denoise: Denoiser) -> Denoiser:
        """The guided denoiser of a conditional one."""
        plain = Remembered(denoise)
        spread = self.inner(plain)
        if spread is plain:
            return denoise

        def guided(y: Float[Tensor, "batch ..."], level: float) -> Float[Tensor, "batch ..."]:
            wide = spread(y, level)
            factor = deviation(plain(y, level)) / deviation(wide)
            return wide * (self.share * factor + 1 - self.share)

        return guided


def deviation(x: Float[Tensor, "batch ..."]) -> Tensor:
    """Over the numbers of each example, shaped to multiply it; 1 where they are all alike.

    Raises:
        DanluError: an example is one number.
    """
    if math.prod(x.shape[1:]) < 2:
        raise DanluError("Rescaled guidance needs examples of at least two numbers.")
    flat = x.flatten(1)
    std = (flat - flat.mean(1, keepdim=True)).square().mean(1).sqrt()
    smallest = torch.finfo(std.dtype).tiny
    return per_row(std.where(std > smallest, 1.0), x)
