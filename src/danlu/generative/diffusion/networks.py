"""The network of a diffusion model: a U-Net or a DiT for images, an MLP for vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu
from typing_extensions import override

from danlu.backbones.dit import DiT, dit_block
from danlu.backbones.mlp import MLP
from danlu.backbones.reading import ReadingAttention2d
from danlu.backbones.unet import UNet
from danlu.conditioning import conditioner
from danlu.contracts import DataDescription, Told, unknown
from danlu.layers.attention import Derivatives
from danlu.layers.convolution import SelfAttention2d
from danlu.layers.time import TimeEmbedding

TIME_FEATURES = 64
HIGHEST, HIGHEST_SMOOTH = 200.0, 16.0
"""Frequencies of the time embedding; lower where the network is differentiated by time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkOptions:
    """Size of the network.

    Attributes:
        network: of images, `unet` or `dit`.
        width: channels of the first level of the U-Net, of a token, or of the MLP.
        levels: levels of the U-Net; each further one has twice the channels at half the size.
        blocks: residual blocks a level on the way down, or of the DiT or the MLP.
        patch: side of the pixel square folded into channels, or into a token.
        features: size of the conditioning vector.
    """

    network: str = "unet"
    width: int = 64
    levels: int = 2
    blocks: int = 1
    patch: int = 1
    features: int = 256

    def __post_init__(self) -> None:
        if self.network not in IMAGE_NETWORKS:
            raise unknown("network", self.network, IMAGE_NETWORKS)


def proportioned(description: DataDescription, **sizes: Any) -> NetworkOptions:
    """Sizes with four features of time and class for each channel of an image."""
    features = 4 * sizes["width"] if description.is_image else sizes["width"]
    return NetworkOptions(**sizes, features=features)


def unet(
    channels: tuple[int, int], options: NetworkOptions, derivatives: Derivatives, memory: int
) -> UNet:
    """The U-Net of the given sizes, which attends to tokens of the size `memory` if it is not 0."""
    attention: Any = partial(SelfAttention2d, derivatives=derivatives)
    if memory:
        attention = partial(ReadingAttention2d, memory=memory, derivatives=derivatives)
    return UNet(
        channels,
        width=options.width,
        multipliers=[2**level for level in range(options.levels)],
        blocks=options.blocks,
        patch=options.patch,
        features=options.features,
        attention=attention,
    )


def dit(
    channels: tuple[int, int], options: NetworkOptions, derivatives: Derivatives, memory: int
) -> DiT:
    """The DiT of the given sizes; it has one level and attends like the U-Net."""
    return DiT(
        channels,
        width=options.width,
        depth=options.blocks,
        patch=options.patch,
        features=options.features,
        block=dit_block(derivatives, memory),
    )


IMAGE_NETWORKS: Mapping[str, Any] = {"unet": unet, "dit": dit}


class ConditionedNetwork(nn.Module):
    """`(x, label, condition)` to values for each number of x; the label tells the noise level.

    Args:
        description: of the data.
        options: sizes.
        values: for each number of x, stacked along the first axis after the batch.
        highest: frequency of the time embedding.
        derivatives: `higher` where it is differentiated more than once, or forwards.
    """

    def __init__(
        self,
        description: DataDescription,
        options: NetworkOptions,
        *,
        values: int = 1,
        highest: float = HIGHEST,
        derivatives: Derivatives = "first",
    ) -> None:
        super().__init__()
        self.time = TimeEmbedding(TIME_FEATURES, highest=highest)
        self.time_in = nn.Linear(TIME_FEATURES, options.features)
        self.time_out = nn.Linear(options.features, options.features)
        self.classes = conditioner(description.condition, options.features)
        first = description.shape[0]
        if description.is_image:
            make = IMAGE_NETWORKS[options.network]
            memory, ends = self.classes.memory, (first, values * first)
            self.body: nn.Module = make(ends, options, derivatives, memory)
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
        self, x: Float[Tensor, "batch ..."], t: Float[Tensor, " batch"], condition: Told
    ) -> Float[Tensor, "batch ..."]:
        """The values for each row."""
        return self.conditioned(x, self.time_in(self.time(t)), condition)

    def conditioned(
        self,
        x: Float[Tensor, "batch ..."],
        times: Float[Tensor, "batch features"],
        condition: Told,
    ) -> Float[Tensor, "batch ..."]:
        """The values under what the times say, before its nonlinearity, and the condition."""
        told = self.classes(condition, len(x))
        features = self.time_out(silu(times)) + told.vector
        if told.memory is None or isinstance(self.body, MLP):
            return self.body(x, features)
        return self.body(x, features, told.memory)


class SpanNetwork(ConditionedNetwork):
    """A conditioned network that is also told a span of time; smooth in both times.

    Every operation of it has a forward-mode derivative, for products with its Jacobian.
    """

    def __init__(self, description: DataDescription, options: NetworkOptions) -> None:
        super().__init__(description, options, highest=HIGHEST_SMOOTH, derivatives="higher")
        self.span_in = nn.Linear(TIME_FEATURES, options.features, bias=False)

    @override
    def forward(
        self,
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, " batch"],
        condition: Told,
        span: Float[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch ..."]:
        """The values for each row at a time and a span, 0 unless given."""
        span = torch.zeros_like(t) if span is None else span
        times = self.time_in(self.time(t)) + self.span_in(self.time(span))
        return self.conditioned(x, times, condition)
