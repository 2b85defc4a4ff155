r"""The currency of diffusion: the denoiser, to which every other prediction converts.

$D(y, \hat\sigma) = E[x_0 \mid x_0 + \hat\sigma\varepsilon = y]$. Everything else that a network may
predict is a pair (a, b), $\text{value} = a x_0 + b\varepsilon$.
With $x = \alpha x_0 + \sigma\varepsilon$ known, each conversion is one 2x2 solve with determinant
$\alpha b - \sigma a$; where it is zero, the conversion does not exist.

| prediction | a | b |
|---|---|---|
| data | 1 | 0 |
| noise | 0 | 1 |
| velocity $dx/dt$ | $\dot\alpha$ | $\dot\sigma$ |

Sources: arXiv:2206.00364 (denoiser and coordinates), arXiv:2202.00512 §4 (predictions).
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DanluError


@runtime_checkable
class Denoiser(Protocol):
    """The expected data given noisy data; conditions and guidance are already inside."""

    def __call__(self, y: Float[Tensor, "batch ..."], level: float) -> Float[Tensor, "batch ..."]:
        """E[x0 | x0 + level * noise = y] for each row."""
        ...


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a value says of data and noise: `value = a * data + b * noise`."""

    a: float
    b: float

    def solve(
        self, x: Float[Tensor, "*shape"], value: Float[Tensor, "*shape"], alpha: float, sigma: float
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """(data, noise) from the noisy state and the predicted value.

        Raises:
            DanluError: the prediction says nothing new at this noise level.
        """
        determinant = alpha * self.b - sigma * self.a
        if abs(determinant) < 1e-12:
            raise DanluError(
                f"A prediction (a={self.a}, b={self.b}) cannot be converted at "
                f"alpha={alpha}, sigma={sigma}: the system is singular there."
            )
        data = (self.b * x - sigma * value) / determinant
        noise = (alpha * value - self.a * x) / determinant
        return data, noise


DATA = Prediction(1.0, 0.0)
NOISE = Prediction(0.0, 1.0)
