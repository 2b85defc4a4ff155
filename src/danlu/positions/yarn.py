r"""YaRN: pairs that turn often are kept, those that never turn once are interpolated.

The pair that turns $\beta$ times in the length $L$ of training stands at
$i(\beta) = d \ln(L / 2\pi\beta) / (2 \ln b)$, for $d$ features that turn. Between
$i_0 = \lfloor i(32) \rfloor$ and $i_1 = \lceil i(1) \rceil$, kept within $[0, d - 1]$, the share
that is kept falls with the index of the pair: with
$\kappa_i = 1 - \min(1, \max(0, (i - i_0)/(i_1 - i_0)))$ the frequencies become
$(1 - \kappa_i)\, \theta_i / s + \kappa_i\, \theta_i$. What turns is multiplied by
$0.1 \ln s + 1$ in queries and keys, since longer sequences flatten the softmax.

That is the ramp of the published code and models. The paper writes one that rises with the turns
themselves, `rope-yarn-turns`; the two share their ends alone, and weights of one are wrong under
the other.

Use it to lengthen a trained rotary model, best with a short fine-tune.

Sources: arXiv:2309.00071 eq. 22 (the attention factor) and its published code, which transformers'
`yarn` follows.
"""

import math
from dataclasses import dataclass

from danlu.contracts import DanluError
from danlu.positions.frequencies import blended, geometric
from danlu.positions.rotary import Layout, Rotary

SLOW, FAST = 1.0, 32.0
"""Turns up to which a pair is interpolated, and from which it is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ramp:
    """How a published model departs from the defaults.

    Attributes:
        slow: turns up to which a pair is interpolated.
        fast: turns from which it is kept.
        whole: whether the ends are pairs, which stand at whole numbers.
        magnitude: factor on what turns; 0.1 ln s + 1 unless given.
    """

    slow: float = SLOW
    fast: float = FAST
    whole: bool = True
    magnitude: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.slow < self.fast:
            raise DanluError(f"0 < slow < fast turns are expected, got {self.slow}, {self.fast}.")


class YaRN(Rotary):
    """Rotary encoding for `factor` times the `length` of training."""

    def __init__(
        self,
        dim: int,
        *,
        factor: float,
        length: int,
        base: float = 10_000.0,
        layout: Layout = "half",
        rotated: int | None = None,
        ramp: Ramp | None = None,
    ) -> None:
        turning, ramp = dim if rotated is None else rotated, ramp or Ramp()
        first, last = _ends(turning, length, base, ramp)
        shares = [1 - min(1.0, max(0.0, (i - first) / (last - first))) for i in range(turning // 2)]
        theta = zip(geometric(turning, base), shares, strict=True)
        super().__init__(
            dim,
            layout=layout,
            rotated=rotated,
            frequencies=tuple(blended(each, factor, kept) for each, kept in theta),
            magnitude=sharpness(factor) if ramp.magnitude is None else ramp.magnitude,
        )


def sharpness(factor: float) -> float:
    """The factor on queries and keys of sequences so many times as long."""
    return 0.1 * math.log(factor) + 1 if factor > 1 else 1.0


def _ends(turning: int, length: int, base: float, ramp: Ramp) -> tuple[float, float]:
    """The indices of pairs between which the share that is kept falls from 1 to 0."""
    first, last = (
        turning * math.log(length / (2 * math.pi * turns)) / (2 * math.log(base))
        for turns in (ramp.fast, ramp.slow)
    )
    if ramp.whole:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(float(first), 0.0), min(float(last), turning - 1.0)
    return first, last + 0.001 if first == last else last
