r"""Split: half of the numbers leave early, under a Gaussian that the other half predicts.

$x = (x_1, x_2)$ goes on as $x_1$, while $x_2$ stays in the code and contributes
$\log p(x_2 \mid x_1) = \log\mathcal N(x_2; \mu(x_1), \sigma^2(x_1))$, with a bounded log-scale as
in couplings, $\log\sigma = a \tanh(r / a)$ of the network's raw output r. A chain with a split has
a tuple as its code; sampling draws $x_2$ where only $x_1$ is given.

Sources: arXiv:1605.08803 §3.6 (multi-scale), arXiv:1807.03039 (conditional split prior).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.conditioning import Conditioner
from danlu.contracts import Bound, Told
from danlu.contracts.noise import Noise
from danlu.generative.base import Code
from danlu.generative.chain import Evaluations, Layer

LIMIT = 4.0
"""Bound of the log-scale: far from the data the density stays a number."""


class Split(Layer):
    """Splits the first axis after the batch.

    Args:
        goes_on: size of the first part, x1.
        network: maps x1 to mean and log-scale of x2, stacked along the first axis.
        embedding: of the condition, whose features the network then takes beside x1.
    """

    bound = Bound.EXACT
    keeps = 1
    evaluations = Evaluations(encode=1, decode=1)

    def __init__(
        self, goes_on: int, network: nn.Module, embedding: Conditioner | None = None
    ) -> None:
        super().__init__()
        self.goes_on = goes_on
        self.network = network
        self.embedding = embedding

    @override
    def networks(self) -> list[nn.Module]:
        return [self.network]

    @override
    def encode(
        self, x: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> tuple[Code, Float[Tensor, " batch"]]:
        first, second = x[:, : self.goes_on], x[:, self.goes_on :]
        mean, log_scale = self._moments(first, condition)
        standard = (second - mean) * (-log_scale).exp()
        density = -0.5 * (standard.square() + math.log(2 * math.pi)) - log_scale
        return (first, second), density.flatten(1).sum(1)

    @override
    def decode(self, code: Code, condition: Told, noise: Noise) -> Float[Tensor, "batch ..."]:
        if isinstance(code, tuple):
            return torch.cat(code, dim=1)
        mean, log_scale = self._moments(code, condition)
        second = mean + log_scale.exp() * noise.normal(*mean.shape[1:])
        return torch.cat([code, second], dim=1)

    def _moments(self, x: Tensor, condition: Told) -> tuple[Tensor, Tensor]:
        """Mean and log-scale of what leaves."""
        if self.embedding is None:
            output = self.network(x)
        else:
            output = self.network(x, self.embedding.vector(condition, len(x)))
        mean, raw = output.to(x.dtype).chunk(2, dim=1)
        return mean, LIMIT * torch.tanh(raw / LIMIT)
