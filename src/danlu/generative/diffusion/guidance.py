r"""Guidance: a denoiser to a denoiser.

Classifier-free guidance extrapolates from the unconditional towards the conditional answer,
$D = D_u + s\,(D_c - D_u)$: s = 0 is unconditional, s = 1 conditional, s > 1 trades diversity for
fidelity to the class. It is linear, hence the same for every prediction type.

Sources: arXiv:2207.12598 (whose w is s - 1); kexue.fm/archives/9257.
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
