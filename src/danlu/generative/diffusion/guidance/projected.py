r"""Adaptive projected guidance: keep what guidance turns, not what it amplifies.

Of the difference $\Delta = D_c - D_u$, shortened to the length r at most, the part along $D_c$
mostly raises contrast and saturation, the part across it changes the content:

$D = D_c + (s - 1)(\Delta_\perp + \eta\,\Delta_\parallel)$.

With $\eta = 1$ and no r it is classifier-free guidance. The momentum of the source would need a
memory of earlier steps, and a denoiser has none.

Use it for large scales s, where classifier-free guidance oversaturates.

Sources: arXiv:2410.02416 eq. 6-8 and alg. 1.
"""

import math

from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DanluError
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.layers.rows import per_row


class Projected:
    """Guidance across the conditional denoiser; two evaluations unless s is 1.

    Args:
        base: the unconditional denoiser.
        scale: s.
        parallel: the share eta of the part along the denoised example that is kept.
        longest: r, largest Euclidean norm of an example's difference.

    Raises:
        DanluError: the longest difference is not above 0.
    """

    def __init__(
        self, base: Denoiser, scale: float, *, parallel: float = 0.0, longest: float = math.inf
    ) -> None:
        if not longest > 0:
            raise DanluError(f"The longest difference of guidance must be above 0, got {longest}.")
        self.base = base
        self.scale = scale
        self.parallel = parallel
        self.longest = longest

    def __call__(self, denoise: Denoiser) -> Denoiser:
        """The guided denoiser of a conditional one."""
        if self.scale == 1.0:
            return denoise

        def guided(y: Float[Tensor, "batch ..."], level: float) -> Float[Tensor, "batch ..."]:
            data = denoise(y, level)
            difference = shortened(data - self.base(y, level), self.longest)
            along, across = split(difference, data)
            return data + (self.scale - 1) * (across + self.parallel * along)

        return guided


def shortened(x: Float[Tensor, "batch ..."], longest: float) -> Float[Tensor, "batch ..."]:
    """Each example at its own length or the longest allowed, whichever is less."""
    if math.isinf(longest):
        return x
    norm = per_row(x.flatten(1).norm(dim=1), x)
    return x * (longest / norm).clamp(max=1.0)  # of no length: infinity, which is clamped


def split(
    x: Float[Tensor, "batch ..."], axis: Float[Tensor, "batch ..."]
) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, "batch ..."]]:
    """The parts of each example along and across another; all is across where that is zero."""
    flat = axis.flatten(1)
    square = flat.square().sum(1)
    share = (x.flatten(1) * flat).sum(1) / square.where(square > 0, 1.0)
    along = per_row(share, x) * axis
    return along, x - along
