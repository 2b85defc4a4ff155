r"""What a network may predict: a pair (a, b) with $\text{value} = a x_0 + b\varepsilon$.

With $x = \alpha x_0 + \sigma\varepsilon$ known, each conversion is one 2x2 solve with determinant
$\alpha b - \sigma a$; where it is zero, the conversion does not exist.

| prediction | a | b |
|---|---|---|
| data | 1 | 0 |
| noise | 0 | 1 |
| score $\nabla\log p_t(x)$ | 0 | $-1/\sigma$ |
| velocity $dx/dt$ | $\dot\alpha$ | $\dot\sigma$ |
| v | $-\sigma$ | $\alpha$ |
| edm, with $\sigma_d = 1/2$ | $\hat\sigma/(\sigma_d\sqrt{\hat\sigma^2+\sigma_d^2})$ | $-\sigma_d/\sqrt{\hat\sigma^2+\sigma_d^2}$ |

v is the velocity along the quarter circle only, and up to a factor; edm is the output F whose
target has unit variance at every level for data of deviation $\sigma_d$.

An error of the data makes an error of the value $(\alpha b - \sigma a)/\sigma$ times as large:
the `gain`, by which weightings are carried from one prediction to another.

Sources: arXiv:2006.11239 (noise), arXiv:2202.00512 §4 and app. D (data, v), arXiv:2209.03003
(velocity), arXiv:2206.00364 eq. 7 (edm).
"""  # noqa: E501

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DanluError
from danlu.generative.diffusion.paths import Number, Point, ratio

Prediction = Callable[[Point[Number]], tuple[Number, Number]]

DATA_STD = 0.5
"""Deviation of the data that edm's scalings assume."""
SINGULAR = 1e-12
"""Smallest determinant of a conversion."""


def data(point: Point[Number]) -> tuple[Number, Number]:
    """The clean data."""
    return 0 * point.alpha + 1, 0 * point.alpha


def noise(point: Point[Number]) -> tuple[Number, Number]:
    """The noise that was added."""
    return 0 * point.alpha, 0 * point.alpha + 1


def score(point: Point[Number]) -> tuple[Number, Number]:
    """The gradient of the log-density of noisy data."""
    return 0 * point.alpha, -ratio(0 * point.sigma + 1, point.sigma)


def velocity(point: Point[Number]) -> tuple[Number, Number]:
    """The derivative of the state by the time of its path."""
    return point.alpha_rate, point.sigma_rate


def v(point: Point[Number]) -> tuple[Number, Number]:
    """The mix of noise and data at a right angle to the state."""
    return -point.sigma, point.alpha


def edm(point: Point[Number]) -> tuple[Number, Number]:
    """The normalised residual F."""
    sigma, alpha = point.sigma, DATA_STD * point.alpha
    scale = pow(sigma * sigma + alpha * alpha, 0.5)
    return sigma / (DATA_STD * scale), -alpha / scale


def gain(prediction: Prediction, point: Point[Number]) -> Number:
    """How much larger an error of the value is than the error of the data behind it."""
    a, b = prediction(point)
    return ratio(point.alpha * b - point.sigma * a, point.sigma)


def combine(
    prediction: Prediction,
    point: Point[Number],
    data: Float[Tensor, "*shape"],
    noise: Float[Tensor, "*shape"],
) -> Float[Tensor, "*shape"]:
    """The value that data and noise make.

    Raises:
        DanluError: it is infinite at this noise level.
    """
    a, b = prediction(point)
    if not isinstance(a, Tensor) and not math.isfinite(a + b):
        raise _impossible(prediction, point, "has no finite value")
    return a * data + b * noise


def solve(
    prediction: Prediction,
    point: Point[Number],
    x: Float[Tensor, "*shape"],
    value: Float[Tensor, "*shape"],
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """(data, noise) from the noisy state and the predicted value.

    Raises:
        DanluError: the prediction says nothing new at this noise level.
    """
    a, b, determinant = _system(prediction, point)
    data = b / determinant * x - point.sigma / determinant * value
    return data, point.alpha / determinant * value - a / determinant * x


def solve_data(
    prediction: Prediction,
    point: Point[Number],
    x: Float[Tensor, "*shape"],
    value: Float[Tensor, "*shape"],
) -> Float[Tensor, "*shape"]:
    """The data alone, which is all that a sampler asks for.

    Raises:
        DanluError: the prediction says nothing new at this noise level.
    """
    _, b, determinant = _system(prediction, point)
    return b / determinant * x - point.sigma / determinant * value


def _system(prediction: Prediction, point: Point[Number]) -> tuple[Number, Number, Number]:
    """The coefficients of the predicted value, and the determinant beside those of the state."""
    a, b = prediction(point)
    determinant = point.alpha * b - point.sigma * a
    # A traced graph holds no check: its noise levels are those that it is given.
    if not torch.compiler.is_compiling() and not all(
        SINGULAR <= size < math.inf for size in _ends(determinant)
    ):
        raise _impossible(prediction, point, "cannot be converted: the system is singular")
    return a, b, determinant


def _impossible(prediction: Prediction, point: Point, why: str) -> DanluError:
    name = getattr(prediction, "__name__", "prediction")
    return DanluError(f"The {name} prediction {why} at alpha={point.alpha}, sigma={point.sigma}.")


def _ends(value: float | Tensor) -> tuple[float, float]:
    """The smallest and the largest size; in Python for a number, as samplers ask every step."""
    if not isinstance(value, Tensor):
        return abs(value), abs(value)
    low, high = value.abs().aminmax()
    return float(low), float(high)
