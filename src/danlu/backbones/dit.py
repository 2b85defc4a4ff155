r"""Diffusion transformer: an image as tokens, each layer scaled and gated by what it is told.

Squares of `patch` pixels are the tokens; attention turns queries and keys by their two coordinates.
With features $c$ of time and class, each layer $f$ of a block adds

$x \leftarrow x + g(c) \odot f\big((1 + s(c)) \odot \mathrm{LN}(x) + b(c)\big)$,

where $(s, b, g)$ are linear in $\mathrm{SiLU}(c)$ and start at zero, so that a new block is the
identity (adaLN-zero). A block is a list of mixers by factories, so that any layer that sees both
sides can take the place of attention.

Use it for larger images and longer training; on small ones a U-Net learns more per second.

Sources: arXiv:2212.09748 §3 (adaLN-zero); arXiv:2104.09864 and kexue.fm/archives/8397 (rotations in
two dimensions).
"""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import layer_norm, pad, pixel_shuffle, pixel_unshuffle, silu
from typing_extensions import override

from danlu.backbones.transformer import feed_forward_layer
from danlu.contracts import DanluError, Memory, SequenceContext, State
from danlu.layers.attention import Derivatives, attend
from danlu.layers.norms import EPSILON
from danlu.mixers.base import Factory, Mixer
from danlu.mixers.cross import CrossAttention
from danlu.mixers.pointwise import Pointwise
from danlu.mixers.softmax import split_heads
from danlu.positions.rotary_grid import RotaryGrid

HEAD_DIM = 32
"""Size of a head, where the width is a multiple of it."""


BLIND = (Pointwise, CrossAttention)
"""Layers whose tokens do not see one another, which count as causal."""


class GridAttention(Mixer):
    """Attention among all tokens of a grid, turned by their two coordinates.

    Args:
        dim: width of a token; its heads have 32 numbers where they divide it, else one has all.
        derivatives: `higher` where the layer is differentiated more than once, or forwards.
    """

    causal = False

    def __init__(self, dim: int, *, derivatives: Derivatives = "first") -> None:
        super().__init__(dim)
        self.heads = heads_of(dim)
        self.derivatives: Derivatives = derivatives
        self.turn = RotaryGrid(dim // self.heads)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        assert context.positions is not None
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        q, k = self.turn.rotate(q, k, context.positions, context.positions)
        y = attend(q, k, v, derivatives=self.derivatives)
        return self.output(y.transpose(1, 2).flatten(2)), {}


def dit_block(derivatives: Derivatives = "first", memory: int = 0) -> list[Factory]:
    """The usual block: attention on the grid, to tokens of a size if any, then feed-forward."""
    within = lambda dim, layer, depth: GridAttention(dim, derivatives=derivatives)
    across = lambda dim, layer, depth: CrossAttention(
        dim, heads=heads_of(dim), memory_dim=memory, derivatives=derivatives
    )
    return [within, *([across] if memory else []), feed_forward_layer()]


def heads_of(dim: int) -> int:
    """Heads of 32 numbers where they divide the width, else one."""
    return 1 if dim % HEAD_DIM else dim // HEAD_DIM


class DiT(nn.Module):
    """Maps `[batch, channels, height, width]` and features to an image of the same size.

    Args:
        channels: of the image; of input and output where they differ.
        width: of a token.
        depth: number of blocks.
        patch: side of the square of pixels that is a token.
        features: size of the conditioning vector.
        block: factories of the mixers of a block, which see both sides.
    """

    def __init__(
        self,
        channels: int | tuple[int, int],
        *,
        width: int = 128,
        depth: int = 4,
        patch: int = 2,
        features: int = 256,
        block: Sequence[Factory] | None = None,
    ) -> None:
        super().__init__()
        self.patch = patch
        given, made = (channels, channels) if isinstance(channels, int) else channels
        makes = dit_block() if block is None else block
        layers = [make(width, layer, depth) for layer in range(depth) for make in makes]
        if any(layer.causal and not isinstance(layer, BLIND) for layer in layers):
            raise DanluError("The layers of a DiT must see both sides.")
        self.enter = nn.Linear(given * patch**2, width)
        self.layers = nn.ModuleList(layers)
        self.modulate = nn.ModuleList(nn.Linear(features, 3 * width) for _ in layers)
        self.modulate_last = nn.Linear(features, 2 * width)
        self.leave = nn.Linear(width, made * patch**2)
        for module in (*self.modulate, self.modulate_last, self.leave):
            for parameter in module.parameters():
                nn.init.zeros_(parameter)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        features: Float[Tensor, "batch features"],
        memory: Memory | None = None,
    ) -> Float[Tensor, "batch outputs height width"]:
        """The map's output, the size of the input."""
        features = silu(features)
        height, width = x.shape[-2:]
        # Sizes that the patch does not divide are continued at the border, and cut off again.
        x = pad(x, (0, -width % self.patch, 0, -height % self.patch), mode="replicate")
        folded = pixel_unshuffle(x, self.patch)
        rows, columns = folded.shape[-2:]
        context = SequenceContext(positions=_grid(rows, columns, x), memory=memory)
        h = self.enter(folded.flatten(2).transpose(1, 2))  # [batch, tokens, width]
        for layer, modulate in zip(self.layers, self.modulate, strict=True):
            scale, shift, gate = modulate(features)[:, None].chunk(3, dim=-1)
            y, _ = cast(Mixer, layer)(_modulated(h, scale, shift), context)
            h = h + gate * y
        scale, shift = self.modulate_last(features)[:, None].chunk(2, dim=-1)
        y = self.leave(_modulated(h, scale, shift)).transpose(1, 2).unflatten(-1, (rows, columns))
        return pixel_shuffle(y, self.patch)[..., :height, :width]


def _modulated(h: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """The normalised tokens, scaled and shifted."""
    return (1 + scale) * layer_norm(h, h.shape[-1:], eps=EPSILON) + shift


def _grid(rows: int, columns: int, x: Tensor) -> Tensor:
    """The coordinates of every token, `[batch, tokens, 2]`."""
    down, right = (torch.arange(count, device=x.device) for count in (rows, columns))
    pairs = torch.stack(torch.meshgrid(down, right, indexing="ij"), dim=-1)
    return pairs.flatten(0, 1).expand(len(x), -1, -1)
