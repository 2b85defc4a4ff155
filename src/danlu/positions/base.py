r"""The contract of position encodings: up to five places where a position may enter.

`embed` changes the input; `rotate` turns queries and keys; `carry` changes the values; `bias` adds
to the scaled scores $s_{ij} = \text{scale}(d)\, q_i^\top k_j + b_{ij}$; `values` adds to what
attention reads. A member names the places that it uses in `hooks`. Whoever is given an encoding
calls all of them: a mixer that cannot refuses it when it is built.

Positions are always an argument, int or float, `[batch, length]` or with trailing axes: packing,
caches, grids and time stamps need no special case. An instance may be shared by layers.

Sources: arXiv:1706.03762, arXiv:1803.02155, arXiv:2104.09864 and kexue.fm/archives/8130.
"""

import math
from typing import ClassVar

from jaxtyping import Float, Num
from torch import Tensor

from danlu.contracts import SequenceContext
from danlu.layers.precision import WideConstants

HOOKS = frozenset({"embed", "rotate", "carry", "bias", "values", "score_scale"})

Positions = Num[Tensor, "batch length *axes"]
KeyPositions = Num[Tensor, "batch keys *axes"]


class PositionEncoding(WideConstants):
    """No encoding at all; members override the hooks that they name.

    Attributes:
        hooks: which of `HOOKS` this encoding uses.
        relative: scores depend on positions through their differences alone.
        sees_future: a token gets something from those to come.
        linear_ok: it needs no score matrix, so that linear attention can use it.
    """

    hooks: ClassVar[frozenset[str]] = frozenset()
    relative: ClassVar[bool] = False
    sees_future: ClassVar[bool] = False

    @property
    def linear_ok(self) -> bool:
        """Whether it acts on single tokens, and needs no score matrix."""
        return self.hooks <= {"embed", "rotate"}

    def embed(
        self, x: Float[Tensor, "batch length width"], context: SequenceContext
    ) -> Float[Tensor, "batch length dim"]:
        """The input with its positions."""
        raise NotImplementedError

    def rotate(
        self,
        q: Float[Tensor, "batch heads length dim"],
        k: Float[Tensor, "batch key_heads keys dim"],
        q_positions: Positions,
        k_positions: KeyPositions,
    ) -> tuple[Float[Tensor, "batch heads length dim"], Float[Tensor, "batch key_heads keys dim"]]:
        """Queries and keys, turned."""
        raise NotImplementedError

    def carry(
        self, v: Float[Tensor, "batch heads length values"], positions: Positions
    ) -> Float[Tensor, "batch heads length values"]:
        """Values with their positions."""
        raise NotImplementedError

    def bias(
        self,
        q: Float[Tensor, "batch heads length dim"],
        k: Float[Tensor, "batch heads keys dim"],
        q_positions: Positions,
        k_positions: KeyPositions,
    ) -> Float[Tensor, "#batch heads length keys"]:
        """What is added to the scaled scores."""
        raise NotImplementedError

    def values(
        self,
        weights: Float[Tensor, "batch heads length keys"],
        q_positions: Positions,
        k_positions: KeyPositions,
    ) -> Float[Tensor, "batch heads length values"]:
        """What is added to the values that the weights read."""
        raise NotImplementedError

    def score_scale(self, dim: int) -> float:
        """The factor on the scores of heads of that size."""
        return 1 / math.sqrt(dim)

    def input_width(self, dim: int) -> int:
        """How wide `embed` wants its input, to give `dim`."""
        return dim


def differences(
    q_positions: Positions, k_positions: KeyPositions
) -> Num[Tensor, "batch length keys"]:
    """Key position minus query position, for positions of one axis."""
    return k_positions[:, None, :] - q_positions[:, :, None]
