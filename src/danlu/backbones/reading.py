"""Attention of a feature map to itself and then to tokens, such as those of a text.

Sources: arXiv:2112.10752 §3.3 (cross-attention in a U-Net).
"""

from jaxtyping import Float
from torch import Tensor, nn

from danlu.contracts import Memory, SequenceContext
from danlu.layers.attention import Derivatives
from danlu.layers.convolution import SelfAttention2d, groups
from danlu.mixers.cross import CrossAttention


class ReadingAttention2d(nn.Module):
    """Residual self-attention over the positions of a map, then attention to a memory.

    Args:
        channels: of the map.
        memory: size of the tokens of the memory.
        heads: of both.
        derivatives: `higher` where the layer is differentiated more than once, or forwards.
    """

    def __init__(
        self, channels: int, *, memory: int, heads: int = 4, derivatives: Derivatives = "first"
    ) -> None:
        super().__init__()
        self.within = SelfAttention2d(channels, heads=heads, derivatives=derivatives)
        self.norm = nn.GroupNorm(groups(channels), channels)
        self.across = CrossAttention(
            channels, heads=heads, memory_dim=memory, derivatives=derivatives
        )

    def forward(
        self, x: Float[Tensor, "batch channels height width"], memory: Memory
    ) -> Float[Tensor, "batch channels height width"]:
        """The attended map at the same resolution."""
        x = self.within(x)
        cells = self.norm(x).flatten(2).transpose(1, 2)  # [batch, positions, channels]
        y, _ = self.across(cells, SequenceContext(memory=memory))
        return x + y.transpose(1, 2).unflatten(-1, x.shape[-2:])
