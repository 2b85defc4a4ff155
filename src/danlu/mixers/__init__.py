"""Token mixers, each under the contract of `danlu.mixers.base`.

A row's `build()` makes the tiny instance that the laws use; its width is `.dim`.
"""

from functools import partial

from danlu.contracts import Method
from danlu.mixers.base import FORMS, Factory, Mixer
from danlu.mixers.cross import CrossAttention
from danlu.mixers.pointwise import Pointwise
from danlu.mixers.softmax import Softmax

__all__ = ["FORMS", "MIXERS", "Factory", "Mixer"]

MIXERS = {
    "softmax": Method(Softmax, ("arXiv:1706.03762",), partial(Softmax, 8, heads=2)),
    "grouped-query": Method(
        Softmax, ("arXiv:2305.13245", "arXiv:1911.02150"), partial(Softmax, 8, heads=4, key_heads=2)
    ),
    "sliding-window": Method(
        Softmax, ("arXiv:2004.05150",), partial(Softmax, 8, heads=2, window=4)
    ),
    "bidirectional": Method(
        Softmax, ("arXiv:1706.03762",), partial(Softmax, 8, heads=2, causal=False)
    ),
    "cross-attention": Method(
        CrossAttention, ("arXiv:1409.0473", "arXiv:1706.03762"), partial(CrossAttention, 8, heads=2)
    ),
    "feed-forward": Method(
        Pointwise, ("arXiv:1706.03762", "arXiv:2002.05202"), partial(Pointwise, 8)
    ),
}
