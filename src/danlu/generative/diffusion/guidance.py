r"""Guidance: a denoiser to a denoiser.

Classifier-free guidance extrapolates from the unconditional towards the conditional answer,
$D = D_u + s\,(D_c - D_u)$: s = 0 is unconditional, s = 1 conditional, s > 1 trades diversity for
fidelity to the class. It is linear, hence the same for every prediction type. Guiding only
between two noise levels keeps the diversity that guidance costs at high noise, and saves
evaluations.

Sources: arXiv:2207.12598 (whose w is s - 1), arXiv:2404.07724 (interval);
kexue.fm/archives/9257.
"""

from jaxtyping import Float
from torch import Tensor

from danlu.generative.diffusion.denoiser import Denoiser


def classifier_free(conditional: Denoiser, unconditional: Denoiser, scale: float) -> Denoiser:
    """The guided denoiser; costs two evaluations unless the scale is 0 or 1."""
    if scale == 1.0:
        return conditional
    if scale == 0.0:
        return unconditional

    def guided(y: Float[Tensor, "batch ..."], level: float) -> Float[Tensor, "batch ..."]:
        base = unconditional(y, level)
        return base + scale * (conditional(y, level) - base)

    return guided


def within(guided: Denoiser, plain: Denoiser, lowest: float, highest: float) -> Denoiser:
    """The guided denoiser at noise levels in [lowest, highest], the plain one elsewhere."""

    def denoise(y: Float[Tensor, "batch ..."], level: float) -> Float[Tensor, "batch ..."]:
        inside = lowest <= level <= highest
        return guided(y, level) if inside else plain(y, level)

    return denoise
