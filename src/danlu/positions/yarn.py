r"""YaRN: pairs that turn often are kept, those that never turn once are interpolated.

With $r_i = L \theta_i / 2\pi$ turns in the length $L$ of training and
$\gamma(r) = \min(1, \max(0, (r - 1) / (32 - 1)))$, the frequencies become
$(1 - \gamma(r_i))\, \theta_i / s + \gamma(r_i)\, \theta_i$, and scores are multiplied by
$(0.1 \ln s + 1)^2$, since longer sequences flatten the softmax.

Use it to lengthen a trained rotary model, best with a short fine-tune.

Sources: arXiv:2309.00071 eq. 17-22.
"""

import math

from typing_extensions import override

from danlu.positions.frequencies import geometric
from danlu.positions.rotary import Layout, Rotary

SLOW, FAST = 1.0, 32.0
"""Turns up to which a pair is interpolated, and from which it is kept."""


class YaRN(Rotary):
    """Rotary encoding for `factor` times the `length` of training."""

    hooks = frozenset({"rotate", "score_scale"})

    def __init__(
        self,
        dim: int,
        *,
        factor: float,
        length: int,
        base: float = 10_000.0,
        layout: Layout = "half",
    ) -> None:
        blended = tuple(_blend(theta, factor, length) for theta in geometric(dim, base))
        super().__init__(dim, layout=layout, frequencies=blended)
        self.sharpness = (0.1 * math.log(factor) + 1) ** 2 if factor > 1 else 1.0

    @override
    def score_scale(self, dim: int) -> float:
        return self.sharpness / math.sqrt(dim)


def _blend(theta: float, factor: float, length: int) -> float:
    turns = length * theta / (2 * math.pi)
    kept = min(1.0, max(0.0, (turns - SLOW) / (FAST - SLOW)))
    return (1 - kept) * theta / factor + kept * theta
