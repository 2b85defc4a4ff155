r"""Classifier-free guidance: extrapolate from the unconditional to the conditional denoiser.

$D = D_u + s\,(D_c - D_u)$: s = 0 is unconditional, s = 1 conditional, s > 1 trades diversity for
fidelity to the class. By Bayes' rule $D_c - D_u = \hat\sigma^2\nabla\log p(c\,|\,y)$, the gradient
of a classifier that nobody trained. It is linear, hence the same for every prediction type.

Use it with a model that was trained with and without its condition.

Sources: arXiv:2207.12598 eq. 6 (whose w is s - 1); kexue.fm/archives/9257.
"""

from jaxtyping import Float
from torch import Tensor

from danlu.generative.diffusion.denoiser import Denoiser


class ClassifierFree:
    """From the unconditional denoiser past the conditional one; two evaluations unless s is 0 or 1.

    Args:
        base: the unconditional denoiser.
        scale: s.
    """

    def __init__(self, base: Denoiser, scale: float) -> None:
        self.base = base
        self.scale = scale

    def __call__(self, denoise: Denoiser) -> Denoiser:
        """The guided denoiser of a conditional one."""
        if self.scale == 1.0:
            return denoise
        if self.scale == 0.0:
            return self.base

        def guided(y: Float[Tensor, "batch ..."], level: float) -> Float[Tensor, "batch ..."]:
            base = self.base(y, level)
            return base + self.scale * (denoise(y, level) - base)

        return guided
