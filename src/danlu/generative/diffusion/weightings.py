r"""How much an error counts at each noise level.

A weighting gives the factor $w$ of the squared error of the *data*, $w\,\|D - x_0\|^2$; the
squared error of a predicted value is the same times its squared gain, so a loss means the same
under every prediction. With $\text{SNR} = \alpha^2/\sigma^2 = 1/\hat\sigma^2$ and the drift and
diffusion f, g of the path:

- unit: 1 on the predicted value itself, whatever it is (flow matching for velocities).
- simple: SNR, that is 1 on the noise.
- likelihood: $-\tfrac12\tfrac{d\,\text{SNR}}{dt} = \tfrac12 g^2\,\text{SNR}/\sigma^2$, the rate of
  the variational bound in nats under even times.
- edm: $(\hat\sigma^2 + \sigma_d^2)/(\hat\sigma\sigma_d)^2$, that is 1 on edm's F.
- min-snr: $\min(\text{SNR}, \gamma)$ with $\gamma = 5$.
- p2: $\text{SNR}/(k + \text{SNR})^\gamma$ with $k = \gamma = 1$.

Sources: arXiv:2006.11239 eq. 14 (simple), arXiv:2101.09258 and arXiv:2107.00630 eq. 17
(likelihood), arXiv:2206.00364 tab. 1 (edm), arXiv:2303.09556 eq. 10 (min-SNR),
arXiv:2204.00227 eq. 8 (P2).
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from danlu.generative.diffusion.paths import Point
from danlu.generative.diffusion.predictions import DATA_STD

Factor = Float[Tensor, "*batch"]
Weighting = Callable[[Point[Tensor], Factor], Factor]
"""(point, squared gain of the prediction) -> factor of the squared error of the data."""

MIN_SNR_GAMMA = 5.0
P2_SHIFT, P2_POWER = 1.0, 1.0


def unit(point: Point[Tensor], squared_gain: Factor) -> Factor:
    """1 on the predicted value."""
    return squared_gain


def simple(point: Point[Tensor], squared_gain: Factor) -> Factor:
    """1 on the noise."""
    return point.snr


def likelihood(point: Point[Tensor], squared_gain: Factor) -> Factor:
    """The rate of the variational bound."""
    return point.squared_diffusion * point.snr / (2 * point.sigma**2)


def edm(point: Point[Tensor], squared_gain: Factor) -> Factor:
    """1 on edm's F."""
    return point.snr + DATA_STD**-2


def min_snr(point: Point[Tensor], squared_gain: Factor) -> Factor:
    """1 on the noise, but never more than 5 on the data."""
    return point.snr.clamp(max=MIN_SNR_GAMMA)


def p2(point: Point[Tensor], squared_gain: Factor) -> Factor:
    """1 on the noise where it is strong, less where little of it is left."""
    return point.snr / (P2_SHIFT + point.snr) ** P2_POWER
