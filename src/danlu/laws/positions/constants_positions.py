"""Golden values of the position encodings."""

import torch

from danlu.laws.constants import Golden, constants, defaults, golden, normal
from danlu.positions.alibi import slopes
from danlu.positions.convolution import ZeroPaddedConvolution
from danlu.positions.deberta import DeBERTa
from danlu.positions.frequencies import geometric
from danlu.positions.general_rotary import GeneralRotary
from danlu.positions.hierarchical import Hierarchical, hierarchical_table
from danlu.positions.learned import Learned
from danlu.positions.multiplicative import Multiplicative
from danlu.positions.recursive import Recursive
from danlu.positions.rotary import Rotary
from danlu.positions.shaw import Shaw
from danlu.positions.sinusoidal import Sinusoidal
from danlu.positions.t5 import T5, bucket
from danlu.positions.transformer_xl import TransformerXL


def waves() -> Golden:
    """The base 10,000, and what it gives."""
    return [
        defaults("arXiv:1706.03762 §3.5: 10000", Sinusoidal, base=10_000.0),
        defaults("arXiv:2104.09864 eq. 15: 10000", geometric, base=10_000.0),
        golden("10000^(-2i/8)", geometric(8), [1.0, 0.1, 0.01, 0.001]),
        golden("10000^(-2i/6)", geometric(6), [1.0, 0.046415888336127774, 0.0021544346900318843]),
        defaults("Llama, NeoX: halves", Rotary, layout="half", rotated=None, frequencies=None),
    ]


def tables() -> Golden:
    """BERT's N(0, 0.02^2) wherever a table is drawn."""
    source = "arXiv:1810.04805: N(0, 0.02^2)"
    shaw = Shaw(40, farthest=40)
    network = dict(Recursive(6, 2).named_parameters())["dynamics.0.rise.weight"]
    return [
        normal(source, Learned(40, 100).table.weight, 0.02),
        normal(source, Multiplicative(40, 100).table.weight, 0.02),
        normal(source, Hierarchical(40, 100).table, 0.02),
        normal(source, shaw.keys, 0.02),
        normal(source, shaw.read, 0.02),
        normal(source, DeBERTa(2, 20, farthest=40).table, 0.02),
        normal(source, torch.cat([Recursive(50, 1).start for _ in range(40)]), 0.02),
        defaults("kexue.fm/archives/7947: 0.4", Hierarchical, alpha=0.4),
        defaults("kexue.fm/archives/7947: 0.4", hierarchical_table, alpha=0.4),
        defaults("arXiv:1803.02155 §4.1: k = 16", Shaw, farthest=16),
        golden("arXiv:1803.02155 §3.2: 2 k + 1 labels", [len(shaw.keys), len(shaw.read)], [81, 81]),
        defaults("arXiv:2006.03654: k = 512", DeBERTa, farthest=512),
        golden("hidden units of the network: 2 d", network.shape, (12, 7)),
        defaults("three tokens", ZeroPaddedConvolution, kernel=3),
    ]


def buckets() -> Golden:
    """32 buckets up to 128, and those of transformers' T5 at chosen distances."""
    behind = torch.tensor([0, 1, 7, 8, 15, 16, 20, 31, 32, 64, 90, 127, 128, 500])
    causal = bucket(-behind, 32, 128, causal=True)
    near = [0, 1, 7, 8, 9, 10, 10, 11, 12, 14, 14, 15, 15, 15]
    both = bucket(torch.cat([-behind, behind[1:]]), 32, 128, causal=False)
    return [
        defaults("arXiv:1910.10683 §2.1: 32 up to 128", T5, buckets=32, farthest=128, causal=True),
        golden(
            "transformers, T5Attention._relative_position_bucket, causal",
            causal,
            [0, 1, 7, 8, 15, 16, 17, 21, 21, 26, 29, 31, 31, 31],
        ),
        golden(
            "and on both sides",
            both,
            [*near, *(16 + each for each in near[1:])],
        ),
        golden("no 1 / sqrt(d)", T5(2).score_scale(64), 1.0),
    ]


def penalties() -> Golden:
    """ALiBi's published slopes, and those that its code interleaves for other heads."""
    source = "arXiv:2108.12409 §3 and its code, get_slopes"
    return [
        golden(source, slopes(8), [2.0**-n for n in range(1, 9)]),
        golden(source, slopes(2), [0.0625, 0.00390625]),
        golden(source, slopes(6), [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]),
        golden(source, slopes(1), [0.00390625]),
    ]


def trained() -> Golden:
    """Where trained parts start."""
    xl, general = TransformerXL(4, 50), GeneralRotary(60, coordinates=2)
    return [
        golden(
            "arXiv:1901.02860: u = v = 0", [xl.content.abs().max(), xl.place.abs().max()], [0, 0]
        ),
        normal("W of variance 1 / width", xl.project, 200**-0.5),
        normal("W skew of N(0, 1) / d", general.skew, 1 / 60),
        golden(
            "each axis the same angles, in turn",
            general.frequencies[1],
            torch.tensor(geometric(60)).roll(1),
        ),
        golden("as of the plain encoding", general.frequencies[0], geometric(60)),
    ]


_NAMES = {
    "rope": waves,
    "learned": tables,
    "t5": buckets,
    "alibi": penalties,
    "transformer-xl": trained,
}

LAWS = [constants(f"positions/{name}", cases) for name, cases in _NAMES.items()]
