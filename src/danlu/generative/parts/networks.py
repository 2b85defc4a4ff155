"""The default encoder and decoder of data: convolutions for images, an MLP for vectors."""

from torch import nn

from danlu.backbones.convnets import BlockFactory, ConvDecoder, ConvEncoder
from danlu.backbones.mlp import MLP
from danlu.contracts import DataDescription
from danlu.layers.convolution import ResidualBlock


def encoder(
    description: DataDescription,
    outputs: int,
    *,
    width: int,
    features: int = 0,
    block: BlockFactory = ResidualBlock,
) -> nn.Module:
    """Maps (x, features) to `[batch, outputs]`; `block` is for images."""
    if description.is_image:
        return ConvEncoder(description.shape, outputs, width=width, features=features, block=block)
    return MLP(description.dims, outputs, width=width, features=features)


def decoder(
    description: DataDescription,
    inputs: int,
    *,
    values: int = 1,
    width: int,
    features: int = 0,
) -> nn.Module:
    """Maps (z, features) to `values` outputs for each number, stacked along the first axis."""
    first, *rest = description.shape
    if description.is_image:
        return ConvDecoder(inputs, (values * first, *rest), width=width, features=features)
    return MLP(inputs, values * first, width=width, features=features)
