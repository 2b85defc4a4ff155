r"""Affine bijections: the volume they change is a constant.

`Normalise`: $z_i = (x_i - m_i)/s_i$ with fixed shift and scale, $\log|\det J| = -\sum\ln s_i$.
`Linear`: $z = W x + b$ with a learned square matrix, $\log|\det J| = \ln|\det W|$.
`ToldAffine`: $z_i = (x_i - m_{ci})e^{-l_{ci}}$ with a learned shift and log-scale of each condition
c and of none. Under a standard normal prior it makes the prior of x a Gaussian of its condition.

Sources: arXiv:1908.09257 §3.1 (linear flows), arXiv:1605.08803 eq. 2 (change of variables).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.conditioning import conditioner
from danlu.contracts import Bound, DanluError, Kind, Told
from danlu.contracts.noise import Noise
from danlu.generative.chain import Layer
from danlu.optim.parameters import Rule


class Normalise(Layer):
    """Fixed shift and scale of every number, for example to zero mean and unit deviation."""

    bound = Bound.EXACT
    shift: Float[Tensor, "*shape"]
    scale: Float[Tensor, "*shape"]

    def __init__(self, shift: Float[Tensor, "*shape"], scale: Float[Tensor, "*shape"]) -> None:
        super().__init__()
        if not bool((scale > 0).all()):
            raise DanluError("Normalise needs a positive scale for every number.")
        self.register_buffer("shift", shift.clone())
        self.register_buffer("scale", scale.clone())

    @override
    def encode(
        self, x: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, " batch"]]:
        return (x - self.shift) / self.scale, -self.scale.log().sum().expand(len(x))

    @override
    def decode(
        self, code: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> Float[Tensor, "batch ..."]:
        return code * self.scale + self.shift


class Linear(Layer):
    """A learned invertible matrix on vectors; starts as a rotation."""

    bound = Bound.EXACT
    tried = ((2,), (5,))

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(dim, dim)))
        self.bias = nn.Parameter(torch.zeros(dim))

    def parameter_rules(self) -> dict[str, Rule]:
        """A rotation has entries of size dim^-1/2."""
        return {"weight": Rule(scale=len(self.weight) ** -0.5), "bias": Rule(scale=0.5)}

    @override
    def encode(
        self, x: Float[Tensor, "batch dim"], condition: Told, noise: Noise
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, " batch"]]:
        volume = torch.linalg.slogdet(self.weight).logabsdet
        return x @ self.weight.T + self.bias, volume.expand(len(x))

    @override
    def decode(
        self, code: Float[Tensor, "batch dim"], condition: Told, noise: Noise
    ) -> Float[Tensor, "batch dim"]:
        return torch.linalg.solve(self.weight, (code - self.bias).T).T


class ToldAffine(Layer):
    """A learned shift and scale of each number of a vector, by condition; first the identity."""

    bound = Bound.EXACT
    tried = ((2,), (5,))

    def __init__(self, dim: int, kind: Kind) -> None:
        super().__init__()
        self.moments = conditioner(kind, 2 * dim)
        self.moments.silence()

    def shift_and_log_scale(
        self, condition: Told, n: int
    ) -> tuple[Float[Tensor, "n dim"], Float[Tensor, "n dim"]]:
        """Mean and log-deviation of x for each row, under a standard normal code."""
        shift, log_scale = self.moments.vector(condition, n).chunk(2, dim=1)
        return shift, log_scale

    @override
    def encode(
        self, x: Float[Tensor, "batch dim"], condition: Told, noise: Noise
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, " batch"]]:
        shift, log_scale = self.shift_and_log_scale(condition, len(x))
        return (x - shift) * (-log_scale).exp(), -log_scale.sum(1)

    @override
    def decode(
        self, code: Float[Tensor, "batch dim"], condition: Told, noise: Noise
    ) -> Float[Tensor, "batch dim"]:
        shift, log_scale = self.shift_and_log_scale(condition, len(code))
        return code * log_scale.exp() + shift
