r"""Guidance between two noise levels: guide where it chooses, leave alone where it harms.

$D = D_g$ for $\hat\sigma_{lo} \le \hat\sigma \le \hat\sigma_{hi}$, else the plain $D$. At high
noise guidance costs diversity, at low noise it does nothing; outside it costs no evaluation.

Use it around any other guidance.

Sources: arXiv:2404.07724 eq. 5.
"""

import math

from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DanluError
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.guidance.guidance import Guidance


class Interval:
    """Another guidance at noise levels from lowest to highest, none elsewhere.

    Args:
        inner: the guidance.
        lowest: noise level from which it acts.
        highest: noise level up to which it acts.

    Raises:
        DanluError: the levels do not rise.
    """

    def __init__(self, inner: Guidance, lowest: float = 0.0, highest: float = math.inf) -> None:
        if not 0.0 <= lowest <= highest:
            raise DanluError(
                f"Guidance acts from a level to a higher one, got {lowest}, {highest}."
            )
        self.inner = inner
        self.lowest = lowest
        self.highest = highest

    def __call__(self, denoise: Denoiser) -> Denoiser:
        """The denoiser that is guided inside alone."""
        guided = self.inner(denoise)
        if guided is denoise:
            return denoise

        def chosen(y: Float[Tensor, "batch ..."], level: float) -> Float[Tensor, "batch ..."]:
            inside = self.lowest <= level <= self.highest
            return guided(y, level) if inside else denoise(y, level)

        return chosen
