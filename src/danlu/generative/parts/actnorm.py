r"""Activation normalisation: a learned shift and scale of every channel, started from data.

$z_c = (x_c - m_c) e^{-l_c}$ with $\log|\det J| = -P \sum_c l_c$ over the P pixels of a channel.
The first batch gives m and l its means and log-deviations, so that training begins with
standardised numbers; later they are parameters like any other, and a batch does not matter. A
channel that is silent in the first batch, such as a rare mark in a table, tells no scale: it keeps
the one that it has, here and in every later normalisation, for else the first example that has the
mark would be blown up by each of them in turn. One example alone tells no scale of any channel.

Sources: arXiv:1807.03039 §3.1.
"""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import Bound, DanluError, Told
from danlu.contracts.noise import Noise
from danlu.generative.chain import Layer
from danlu.optim.parameters import Rule, without_decay

ROUNDING = 4.0
"""A deviation of so many units of the last place of the largest number is none."""


class ActNorm(Layer):
    """Shift and scale of each index of the first axis after the batch."""

    bound = Bound.EXACT
    varies: Bool[Tensor, "channels *ones"]
    """False where the scale is kept."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(shape[0], *[1] * (len(shape) - 1)))
        self.log_scale = nn.Parameter(torch.zeros_like(self.shift))
        self.register_buffer("varies", torch.ones_like(self.shift, dtype=torch.bool))

    def parameter_rules(self) -> dict[str, Rule]:
        """A shift and a scale of each channel, whatever axes they have."""
        return without_decay("shift", "log_scale")

    @override
    @torch.no_grad()
    def start(self, x: Float[Tensor, "batch channels ..."]) -> None:
        """Standardise these examples.

        Raises:
            DanluError: there are none.
        """
        if not x.numel():
            raise DanluError("An activation normalisation starts from examples, and got none.")
        flat = x.transpose(0, 1).flatten(1)
        deviation, largest = flat.std(1, correction=0), flat.abs().amax(1)
        varies = deviation > ROUNDING * torch.finfo(x.dtype).eps * largest
        scale = torch.where(varies, deviation, 1.0).log()
        self.shift.copy_(flat.mean(1).view_as(self.shift))
        self.log_scale.copy_(scale.view_as(self.shift))
        if flat.shape[1] > 1:
            self.varies.copy_(varies.view_as(self.shift))

    @property
    def _scale(self) -> Float[Tensor, "channels *ones"]:
        """The log-scale, which is 0 and stays so where a channel was silent."""
        return self.log_scale.masked_fill(~self.varies, 0.0)

    @override
    def encode(
        self, x: Float[Tensor, "batch channels ..."], condition: Told, noise: Noise
    ) -> tuple[Float[Tensor, "batch channels ..."], Float[Tensor, " batch"]]:
        pixels = math.prod(x.shape[2:])
        log_scale = self._scale
        volume = -pixels * log_scale.sum()
        return (x - self.shift) * (-log_scale).exp(), volume.expand(len(x))

    @override
    def decode(
        self, code: Float[Tensor, "batch channels ..."], condition: Told, noise: Noise
    ) -> Float[Tensor, "batch channels ..."]:
        return code * self._scale.exp() + self.shift

    @override
    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        # Models that were saved before channels could be silent have none.
        state_dict.setdefault(f"{prefix}varies", torch.ones_like(self.varies))
        super()._load_from_state_dict(state_dict, prefix, *others)
