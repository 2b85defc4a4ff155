"""Token mixers, each under the contract of `danlu.mixers.base`.

A row's `build()` makes the tiny instance that the laws use; its width is `.dim`.
"""

from functools import partial

from danlu.contracts import Method
from danlu.mixers.base import FORMS, Factory, Mixer
from danlu.mixers.cross import CrossAttention
from danlu.mixers.flash import FLASH
from danlu.mixers.fnet import FNet
from danlu.mixers.gau import GAU
from danlu.mixers.gru import GRU
from danlu.mixers.hippo_fourier import HippoFourier
from danlu.mixers.hippo_legs import HippoLegS
from danlu.mixers.hippo_legt import HippoLegT
from danlu.mixers.linformer import Linformer
from danlu.mixers.lru import LRU
from danlu.mixers.lstm import LSTM
from danlu.mixers.mamba import Mamba
from danlu.mixers.performer import Performer
from danlu.mixers.pointwise import Pointwise
from danlu.mixers.reformer import Reformer
from danlu.mixers.rnn import RNN
from danlu.mixers.s4 import S4
from danlu.mixers.s4d import S4D
from danlu.mixers.slru import SLRU
from danlu.mixers.softmax import Softmax
from danlu.mixers.sparse import Sparse
from danlu.mixers.transformer_vq import TransformerVQ

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
    "gau": Method(GAU, ("arXiv:2202.10447", "kexue.fm/archives/8934"), partial(GAU, 8, size=4)),
    "gau-softmax": Method(
        GAU,
        ("kexue.fm/archives/9052", "kexue.fm/archives/9019"),
        partial(GAU, 8, size=4, weights="softmax-plus"),
    ),
    "gau-bidirectional": Method(
        GAU, ("arXiv:2202.10447",), partial(GAU, 8, size=4, weights="mean", causal=False)
    ),
    "flash": Method(
        FLASH, ("arXiv:2202.10447", "kexue.fm/archives/8934"), partial(FLASH, 8, size=4, chunk=4)
    ),
    "flash-bidirectional": Method(
        FLASH, ("arXiv:2202.10447",), partial(FLASH, 8, size=4, chunk=4, causal=False)
    ),
    "sparse-strided": Method(
        Sparse, ("arXiv:1904.10509",), partial(Sparse, 8, heads=2, stride=4, summaries=1)
    ),
    "sparse-fixed": Method(
        Sparse,
        ("arXiv:1904.10509",),
        partial(Sparse, 8, heads=2, pattern="fixed", stride=4, summaries=2),
    ),
    "reformer": Method(
        Reformer,
        ("arXiv:2001.04451",),
        partial(Reformer, 8, heads=2, chunk=4, buckets=4, rounds=2),
    ),
    "reformer-bidirectional": Method(
        Reformer,
        ("arXiv:2001.04451",),
        partial(Reformer, 8, heads=2, chunk=4, buckets=4, rounds=2, causal=False),
    ),
    "linformer": Method(
        Linformer, ("arXiv:2006.04768",), partial(Linformer, 8, length=6, keys=3, heads=2)
    ),
    "fnet": Method(FNet, ("arXiv:2105.03824",), partial(FNet, 8)),
    "performer": Method(
        Performer,
        ("arXiv:2009.14794", "kexue.fm/archives/7921"),
        partial(Performer, 8, heads=2, features=6),
    ),
    "performer-bidirectional": Method(
        Performer, ("arXiv:2009.14794",), partial(Performer, 8, heads=2, features=6, causal=False)
    ),
    "transformer-vq": Method(
        TransformerVQ,
        ("arXiv:2309.16354", "kexue.fm/archives/9844"),
        partial(TransformerVQ, 8, size=4, codes=5, block=4),
    ),
    "lru": Method(LRU, ("arXiv:2303.06349", "kexue.fm/archives/9554"), partial(LRU, 8)),
    "slru": Method(SLRU, ("kexue.fm/archives/9554",), partial(SLRU, 8)),
    "s4d": Method(S4D, ("arXiv:2206.11893",), partial(S4D, 4, states=4)),
    "s4": Method(S4, ("arXiv:2111.00396",), partial(S4, 4, states=4)),
    "mamba": Method(Mamba, ("arXiv:2312.00752",), partial(Mamba, 4, states=3)),
    "hippo-legs": Method(HippoLegS, ("arXiv:2008.07669",), partial(HippoLegS, 4, states=6)),
    "hippo-legt": Method(
        HippoLegT, ("arXiv:2008.07669",), partial(HippoLegT, 4, states=6, window=8.0)
    ),
    "hippo-fourier": Method(
        HippoFourier, ("kexue.fm/archives/10114",), partial(HippoFourier, 4, states=5, window=8.0)
    ),
    "rnn": Method(RNN, ("J. L. Elman (1990)",), partial(RNN, 8)),
    "lstm": Method(LSTM, ("S. Hochreiter and J. Schmidhuber (1997)",), partial(LSTM, 8)),
    "gru": Method(GRU, ("arXiv:1406.1078",), partial(GRU, 8)),
}
