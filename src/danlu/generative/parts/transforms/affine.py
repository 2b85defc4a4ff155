r"""Affine transform: every number is scaled and shifted.

$z = x e^{s} + t$ with $\log z' = s$. The log-scale is bounded, $s = a \tanh(r / a)$ with the
network's raw output r, so that no network can blow a number up by more than $e^a$.

Use it where nothing speaks for another: a scale and a shift are cheap, and invert exactly.

Sources: arXiv:1605.08803 eq. 4-9.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.generative.parts.transforms.transform import Transform

LIMIT = 2.0
"""Bound of the log-scale, approached smoothly."""


class Affine(Transform):
    """A shift and a bounded log-scale."""

    parameters_per_number = 2

    @override
    def forward(
        self, x: Float[Tensor, "batch ..."], theta: Float[Tensor, "batch parameters ..."]
    ) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, "batch ..."]]:
        shift, log_scale = self._shift_and_scale(theta)
        return x * log_scale.exp() + shift, log_scale

    @override
    def inverse(
        self, z: Float[Tensor, "batch ..."], theta: Float[Tensor, "batch parameters ..."]
    ) -> Float[Tensor, "batch ..."]:
        shift, log_scale = self._shift_and_scale(theta)
        return (z - shift) * (-log_scale).exp()

    def _shift_and_scale(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = theta.unbind(1)
        return shift, LIMIT * torch.tanh(raw / LIMIT)
