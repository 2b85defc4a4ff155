"""Position encodings, each under the contract of `danlu.positions.base`.

A row's `build()` makes the tiny instance that the laws use: for a width of 8, or two heads of 4.
"""

from functools import partial

from danlu.contracts import Method
from danlu.positions.alibi import ALiBi
from danlu.positions.base import HOOKS, PositionEncoding
from danlu.positions.learned import Learned
from danlu.positions.none import NoPosition
from danlu.positions.rotary import Rotary, permute_rope_weights
from danlu.positions.shaw import Shaw
from danlu.positions.sinusoidal import Sinusoidal
from danlu.positions.t5 import T5
from danlu.positions.transformer_xl import TransformerXL

__all__ = ["HOOKS", "POSITIONS", "PositionEncoding", "permute_rope_weights"]

POSITIONS = {
    "none": Method(NoPosition, ("arXiv:2203.16634",), NoPosition),
    "sinusoidal": Method(Sinusoidal, ("arXiv:1706.03762",), partial(Sinusoidal, 8)),
    "learned": Method(Learned, ("arXiv:1705.03122",), partial(Learned, 8, 64)),
    "rope": Method(Rotary, ("arXiv:2104.09864", "kexue.fm/archives/8265"), partial(Rotary, 4)),
    "rope-interleaved": Method(
        Rotary, ("arXiv:2104.09864",), partial(Rotary, 4, layout="interleaved")
    ),
    "rope-partial": Method(Rotary, ("arXiv:2204.06745",), partial(Rotary, 4, rotated=2)),
    "alibi": Method(ALiBi, ("arXiv:2108.12409",), partial(ALiBi, 2)),
    "t5": Method(T5, ("arXiv:1910.10683",), partial(T5, 2, buckets=8, farthest=16)),
    "shaw": Method(Shaw, ("arXiv:1803.02155",), partial(Shaw, 4, farthest=3)),
    "transformer-xl": Method(
        TransformerXL, ("arXiv:1901.02860", "arXiv:1906.08237"), partial(TransformerXL, 2, 4)
    ),
}
