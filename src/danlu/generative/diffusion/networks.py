"""The network of a diffusion model: a U-Net for images, an MLP for vectors."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import silu

from danlu.backbones.mlp import MLP
from danlu.backbones.unet import UNet
from danlu.contracts import DataDescription
from danlu.layers.condition import ClassEmbedding
from danlu.layers.time import TimeEmbedding

TIME_FEATURES = 64


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


class ConditionedNetwork(nn.Module):
    """`(x, label, class)` to a value of the shape of x; the label tells the noise level."""

    def __init__(self, description: DataDescription, options: NetworkOptions) -> None:
        super().__init__()
        self.time = TimeEmbedding(TIME_FEATURES)
        self.time_in = nn.Linear(TIME_FEATURES, options.features)
        self.time_out = nn.Linear(options.features, options.features)
        self.classes = ClassEmbedding(description.classes, options.features)
        if description.is_image:
            self.body: nn.Module = UNet(
                description.shape[0],
                width=options.width,
                multipliers=[2**level for level in range(options.levels)],
                blocks=options.blocks,
                patch=options.patch,
                features=options.features,
            )
        else:
            size = description.dims
            self.body = MLP(
                size, size, width=options.width, depth=options.blocks, features=options.features
            )
            nn.init.zeros_(self.body.leave.weight)
            nn.init.zeros_(self.body.leave.bias)

    def forward(
        self,
        x: Float[Tensor, "batch ..."],
        t: Float[Tensor, " batch"],
        condition: Int[Tensor, " batch"] | None,
    ) -> Float[Tensor, "batch ..."]:
        """The value for each row."""
        features = self.time_out(silu(self.time_in(self.time(t))))
        return self.body(x, features + self.classes(condition, len(x)))
