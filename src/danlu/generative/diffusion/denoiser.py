r"""The currency of diffusion: the denoiser, to which every other prediction converts.

$D(y, \hat\sigma) = E[x_0 \mid x_0 + \hat\sigma\varepsilon = y]$. It knows nothing of the path that
a network was trained on, so solvers, guidance and likelihoods speak of denoisers alone.

Sources: arXiv:2206.00364 §2 and app. B.3.
"""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from danlu.generative.diffusion.paths import Path
from danlu.solvers.steppers import Drift


@runtime_checkable
class Denoiser(Protocol):
    """The expected data given noisy data; conditions and guidance are already inside."""

    def __call__(self, y: Float[Tensor, "batch ..."], level: float) -> Float[Tensor, "batch ..."]:
        """E[x0 | x0 + level * noise = y] for each row."""
        ...


def probability_flow(denoise: Denoiser, path: Path) -> Drift:
    """The drift dx/dt of a path's deterministic flow, for steppers."""

    def drift(x: Tensor, t: float) -> Tensor:
        point = path.at(t)
        y = x / point.alpha
        data = denoise(y, point.level)
        return point.alpha_rate * data + point.sigma_rate * (y - data) / point.level

    return drift
