r"""What a network is given: its input $c x_t$ and its label of the noise level.

- plain: $c = 1$, label t. With the prediction `noise` and a variance-preserving path it is the
  network of DDPM.
- edm: $c = 1/\sqrt{\alpha^2\sigma_d^2 + \sigma^2}$, so that the input has unit variance for data
  of deviation $\sigma_d = 1/2$; label $\tfrac14\ln\hat\sigma$.
- logarithmic: $c = 1$, label $\ln(\hat\sigma/2)$, as variance-exploding score networks have it.

The output of the network is the predicted value itself, but with edm it is in units of the
deviation $\sqrt{(a\sigma_d)^2 + b^2}$ that the value has for data of deviation $\sigma_d$, so that
the target has unit variance at every level, whatever is predicted: a score or a velocity may grow
without bound where the noise is weak or strong. For edm's own prediction the unit is 1.

Sources: arXiv:2206.00364 tab. 1.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.generative.diffusion.paths import Point
from danlu.generative.diffusion.predictions import DATA_STD, Prediction

Rows = Float[Tensor, " batch"]
Preconditioner = Callable[[Point[Tensor], Rows], tuple[Rows, Rows]]
"""(coefficients, times) -> (factors of the input, labels), a number for each row."""


def plain(point: Point[Tensor], t: Rows) -> tuple[Rows, Rows]:
    """The state as it is, labelled by its time."""
    return torch.ones_like(t), t


def edm(point: Point[Tensor], t: Rows) -> tuple[Rows, Rows]:
    """The state at unit variance, labelled by a quarter of the log noise level."""
    scale = ((DATA_STD * point.alpha) ** 2 + point.sigma**2).rsqrt()
    return scale, point.level.log() / 4


def logarithmic(point: Point[Tensor], t: Rows) -> tuple[Rows, Rows]:
    """The state as it is, labelled by the logarithm of half its noise level."""
    return torch.ones_like(t), (point.level / 2).log()


def unit(
    preconditioner: Preconditioner, prediction: Prediction, point: Point[Tensor]
) -> Float[Tensor, "*batch"] | None:
    """In what the output is measured: with edm the deviation of its target; None where it is 1."""
    if preconditioner is not edm:
        return None
    a, b = prediction(point)
    return ((DATA_STD * a) ** 2 + b**2).sqrt()
