"""The network of a diffusion model: a U-Net for images, an MLP for vectors."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import silu
from typing_extensions import override

from danlu.backbones.mlp import MLP
from danlu.backbones.unet import UNet
from danlu.contracts import DataDescription
from danlu.layers.condition import ClassEmbedding
from danlu.layers.convolution import SelfAttention2d
from danlu.layers.time import TimeEmbedding

TIME_FEATURES = 64
HIGHEST, HIGHEST_SMOOTH = 200.0, 16.0
"""Frequencies of the time embedding; lower where the network is differentiated by time."""

Ids = Int[Tensor, " batch"] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkOptions:
    """Size of the network.

    Attributes:
        width: channels of the first level of the U-Net, or of the MLP.
        levels: levels of the U-Net; each further one has twice the channels at half the size.
        blocks: residual blocks a level on the way down, or of the MLP.
        patch: side of the pixel square folded into channels.
        features: size of the conditioning vector.
    """

    width: int = 64
    levels: int = 2
    blocks: int = 1
    patch: int = 1
    features: int = 256


def proportioned(
    description: DataDescription, *, width: int, levels: int, blocks: int, patch: int
) -> NetworkOptions:
    """Sizes with as many features of time and class as the data is worth by experience."""
    features = 4 * width if description.is_image else width
    return NetworkOptions(width=width, levels=levels, blocks=blocks, patch=patch, features=features)


class ConditionedNetwork(nn.Module):
    """`(x, label, class)` to values for each number of x; the label tells the noise level.

    Args:
        description: of the data.
        options: sizes.
        values: for each number of x, stacked along the first axis after the batch.
        highest: frequency of the time embedding.
        attention: makes the attention of a U-Net.
    """

    def __init__(
        self,
        description: DataDescription,
        options: NetworkOptions,
        *,
        values: int = 1,
        highest: float = HIGHEST,
        attention: Callable[[int], nn.Module] = SelfAttention2d,
    ) -> None:
        super().__init__()
        self.time = TimeEmbedding(TIME_FEATURES, highest=highest)
        self.time_in = nn.Linear(TIME_FEATURES, options.features)
        self.time_out = nn.Linear(options.features, options.features)
        self.classes = ClassEmbedding(description.classes, options.features)
        first = description.shape[0]
        if description.is_image:
            self.body: nn.Module = UNet(
                (first, values * first),
                width=options.width,
                multipliers=[2**level for level in range(options.levels)],
                blocks=options.blocks,
                patch=options.patch,
                features=options.features,
                attention=attention,
            )
        else:
            self.body = MLP(
                first,
                values * first,
                width=options.width,
                depth=options.blocks,
                features=options.features,
            )
            nn.init.zeros_(self.body.leave.weight)
            nn.init.zeros_(self.body.leave.bias)

    def forward(
        self, x: Float[Tensor, "batch ..."], t: Float[Tensor, " batch"], condition: Ids
    ) -> Float[Tensor, "batch ..."]:
        """The values for each row."""
        return self.conditioned(x, self.time_in(self.time(t)), condition)

    def conditioned(
        self,
        x: Float[Tensor, "batch ..."],
        times: Float[Tensor, "batch features"],
        condition: Ids,
    ) -> Float[Tensor, "batch ..."]:
        """The values under what the times say, before its nonlinearity, and the class."""
        return self.body(x, self.time_out(silu(times)) + self.classes(condition, len(x)))


class SpanNetwork(ConditionedNetwork):
    """A conditioned network that is also told a span of time; smooth in both times.

    Every operation of it has a forward-mode derivative, for products with its Jacobian.
    """

    def __init__(self, description: DataDescription, options: NetworkOptions) -> None:
        attention = partial(SelfAttention2d, derivatives="higher")
        super().__init__(description, options, highest=HIGHEST_SMOOTH, attention=attention)
        self.span_in = nn.Linear(TIME_FEATURES, options.features, bias=False)

    @override
    def forward(
        self,
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, " batch"],
        condition: Ids,
        span: Float[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch ..."]:
        """The values for each row at a time and a span, 0 unless given."""
        span = torch.zeros_like(t) if span is None else span
        times = self.time_in(self.time(t)) + self.span_in(self.time(span))
        return self.conditioned(x, times, condition)
