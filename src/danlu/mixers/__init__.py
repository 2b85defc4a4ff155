"""Token mixers, each under the contract of `danlu.mixers.base`.

A row's `build()` makes the tiny instance that the laws use; its width is `.dim`.
"""

from functools import partial

from danlu.contracts import Method
from danlu.mixers.base import FORMS, Factory, Mixer
from danlu.mixers.cross import CrossAttention
from danlu.mixers.diag_attention import DiagAttention
from danlu.mixers.efficient import EfficientAttention
from danlu.mixers.feature_maps import Exponential, FirstOrder, Identity
from danlu.mixers.flash import FLASH
from danlu.mixers.fnet import FNet
from danlu.mixers.gated_delta import GatedDeltaNet
from danlu.mixers.gated_linear import GatedLinearAttention
from danlu.mixers.gau import GAU
from danlu.mixers.gru import GRU
from danlu.mixers.hippo_fourier import HippoFourier
from danlu.mixers.hippo_legs import HippoLegS
from danlu.mixers.hippo_legt import HippoLegT
from danlu.mixers.linear import LinearAttention
from danlu.mixers.linformer import Linformer
from danlu.mixers.lru import LRU
from danlu.mixers.lstm import LSTM
from danlu.mixers.mamba import Mamba
from danlu.mixers.mamba2 import Mamba2
from danlu.mixers.norm_attention import NormAttention
from danlu.mixers.performer import Performer
from danlu.mixers.pointwise import Pointwise
from danlu.mixers.reformer import Reformer
from danlu.mixers.retention import Retention
from danlu.mixers.rnn import RNN
from danlu.mixers.rwkv4 import RWKV4
from danlu.mixers.rwkv6 import RWKV6
from danlu.mixers.rwkv_channels import RWKVChannels
from danlu.mixers.s4 import S4
from danlu.mixers.s4d import S4D
from danlu.mixers.slru import SLRU
from danlu.mixers.softmax import ShiftedSoftmax, Softmax
from danlu.mixers.sparse import Sparse
from danlu.mixers.transformer_vq import TransformerVQ

__all__ = [
    "FLASH",
    "FORMS",
    "GAU",
    "GRU",
    "LRU",
    "LSTM",
    "MIXERS",
    "RNN",
    "RWKV4",
    "RWKV6",
    "S4",
    "S4D",
    "SLRU",
    "CrossAttention",
    "DiagAttention",
    "EfficientAttention",
    "Exponential",
    "FNet",
    "Factory",
    "FirstOrder",
    "GatedDeltaNet",
    "GatedLinearAttention",
    "HippoFourier",
    "HippoLegS",
    "HippoLegT",
    "Identity",
    "LinearAttention",
    "Linformer",
    "Mamba",
    "Mamba2",
    "Mixer",
    "NormAttention",
    "Performer",
    "Pointwise",
    "RWKVChannels",
    "Reformer",
    "Retention",
    "ShiftedSoftmax",
    "Softmax",
    "Sparse",
    "TransformerVQ",
]

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
    "softmax-shifted": Method(
        ShiftedSoftmax, ("arXiv:1810.04805",), partial(ShiftedSoftmax, 8, heads=2)
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
    "linear": Method(
        LinearAttention,
        ("arXiv:2006.16236", "kexue.fm/archives/7546"),
        partial(LinearAttention, 8, heads=2),
    ),
    "linear-bidirectional": Method(
        LinearAttention, ("arXiv:2006.16236",), partial(LinearAttention, 8, heads=2, causal=False)
    ),
    "linear-identity": Method(
        LinearAttention,
        ("kexue.fm/archives/7546",),
        lambda: LinearAttention(8, heads=2, features=Identity()),
    ),
    "linear-exponential": Method(
        LinearAttention,
        ("kexue.fm/archives/8338",),
        lambda: LinearAttention(8, heads=2, features=Exponential(4, features=6)),
    ),
    "linear-first-order": Method(
        LinearAttention,
        ("kexue.fm/archives/7546",),
        lambda: LinearAttention(8, heads=2, features=FirstOrder()),
    ),
    "efficient": Method(
        EfficientAttention, ("arXiv:1812.01243",), partial(EfficientAttention, 8, heads=2)
    ),
    "norm-attention": Method(
        NormAttention, ("arXiv:2210.10340",), partial(NormAttention, 8, heads=2)
    ),
    "diag-attention": Method(
        DiagAttention, ("arXiv:2210.10340",), partial(DiagAttention, 8, heads=2, block=4)
    ),
    "diag-attention-bidirectional": Method(
        DiagAttention,
        ("arXiv:2210.10340",),
        partial(DiagAttention, 8, heads=2, block=4, causal=False),
    ),
    "retention": Method(Retention, ("arXiv:2307.08621",), partial(Retention, 8, heads=2)),
    "mamba2": Method(Mamba2, ("arXiv:2405.21060",), partial(Mamba2, 8, state_size=3, head_dim=4)),
    "gated-linear": Method(
        GatedLinearAttention,
        ("arXiv:2312.06635",),
        partial(GatedLinearAttention, 8, heads=2, rank=4),
    ),
    "gated-delta": Method(
        GatedDeltaNet, ("arXiv:2412.06464", "arXiv:2406.06484"), partial(GatedDeltaNet, 8, heads=2)
    ),
    "rwkv4": Method(RWKV4, ("arXiv:2305.13048",), partial(RWKV4, 8)),
    "rwkv6": Method(
        RWKV6, ("arXiv:2404.05892",), partial(RWKV6, 8, heads=2, mix_rank=2, decay_rank=3)
    ),
    "rwkv-channels": Method(
        RWKVChannels, ("arXiv:2305.13048", "arXiv:2404.05892"), partial(RWKVChannels, 8)
    ),
}
