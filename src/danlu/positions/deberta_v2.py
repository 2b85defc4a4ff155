r"""DeBERTa's second version: near distances one by one, far ones in logarithmic buckets.

Scores are those of `deberta`. With $B$ buckets for each direction and $m = B/2$, a distance
$|\delta| \le m$ is its own bucket, and a farther one
$\pm\bigl(m + \lceil (m - 1) \ln(|\delta|/m) / \ln((p - 1)/m) \rceil\bigr)$, where $p$ is the
farthest distance that is told apart. Keys of places have a bias, since published models share the
maps of the content: copy these into `key` and `query`, and their table, normalised, into `table`.

Use it in encoders of longer texts, and for weights of DeBERTa v2 and v3.

Sources: arXiv:2006.03654 (the scores), arXiv:2111.09543 (v3) and their published code.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.positions.deberta import DeBERTa


class DeBERTaV2(DeBERTa):
    """Distances in `buckets` for each direction, `farthest` the largest that is told apart."""

    def __init__(self, heads: int, dim: int, *, farthest: int = 512, buckets: int = 256) -> None:
        if not 1 <= buckets // 2 < farthest - 1:
            raise DanluError(
                f"{buckets} buckets for distances up to {farthest} need 2 buckets at least "
                "and farther distances than half of them."
            )
        self.buckets = buckets
        super().__init__(heads, dim, farthest=farthest)
        self.key = nn.Linear(heads * dim, heads * dim)

    @property
    @override
    def span(self) -> int:
        return self.buckets

    @override
    def bucket(self, distance: Tensor) -> Tensor:
        middle = self.buckets // 2
        far = distance.abs().clamp(min=middle).float()
        # float32 decides at the edges as the published models do.
        steps = torch.log(far / middle) / torch.log(
            torch.tensor((self.farthest - 1) / middle).float()
        )
        beyond = middle + torch.ceil(steps * (middle - 1))
        return torch.where(
            distance.abs() <= middle, distance, (beyond * distance.sign()).to(distance.dtype)
        )
