"""Golden values of the layers."""

from functools import partial

import torch

from danlu.conditioning.classes import ClassEmbedding
from danlu.laws.constants import Golden, constants, defaults, golden
from danlu.layers import codebook
from danlu.layers.codebook import Codebook
from danlu.layers.convolution import ResidualBlock, SelfAttention2d
from danlu.layers.feed_forward import MLP, GatedMLP
from danlu.layers.norms import HeadNorm, LayerNorm, RMSNorm
from danlu.layers.shift import ShortConvolution
from danlu.layers.time import TimeEmbedding


def norms() -> Golden:
    """Gains of 1, shifts of 0, epsilons."""
    layer, heads = LayerNorm(3), HeadNorm(4, 2)
    parts = [RMSNorm(3).gain, layer.gain, layer.shift, heads.gain, heads.shift]
    starts = [torch.ones(3), torch.ones(3), torch.zeros(3), torch.ones(4), torch.zeros(4)]
    return [
        *(
            golden("gain 1, shift 0", part, start)
            for part, start in zip(parts, starts, strict=True)
        ),
        defaults("Llama: 1e-6", HeadNorm, epsilon=1e-6),
        defaults("one group", RMSNorm, groups=1),
    ]


def widths() -> Golden:
    """The hidden widths 4 d and 8/3 d."""
    shapes = [
        GatedMLP(6).fall.weight.shape,
        GatedMLP(7).fall.weight.shape,
        MLP(6).fall.weight.shape,
    ]
    return [
        golden("arXiv:2002.05202 §3: two thirds of 4 d", [s[1] for s in shapes], [16, 19, 24]),
        defaults(
            "arXiv:1706.03762 §3.3: 4 d", MLP, hidden=None, activation=torch.nn.functional.gelu
        ),
        defaults("arXiv:2002.05202", GatedMLP, hidden=None, activation=torch.nn.functional.silu),
        golden(
            "SwiGLU has no bias",
            [GatedMLP(3).rise.bias is None, GatedMLP(3).fall.bias is None],
            [1, 1],
        ),
        golden("the plain one has", [MLP(3).rise.bias is None, MLP(3).fall.bias is None], [0, 0]),
    ]


def pictures() -> Golden:
    """What adds nothing at first, heads, epsilons of torch's group norm."""
    block, attention = ResidualBlock(16, 8, 3), SelfAttention2d(16)
    silent = [block.conv_out.weight, block.conv_out.bias, attention.out.weight, attention.out.bias]
    return [
        *(golden("arXiv:2105.05233: the last map starts at 0", part, 0 * part) for part in silent),
        defaults("4 heads", SelfAttention2d, heads=4, derivatives="first"),
        golden("torch: 1e-5", [block.norm_in.eps, attention.norm.eps], [1e-5, 1e-5]),
    ]


def codes() -> Golden:
    """The codebook's memory, and when a code is dead."""
    book = Codebook(5, 3)
    found = [codebook.DECAY, codebook.DEAD_BELOW, codebook.SPLIT, codebook.START_ROUNDS]
    return [
        golden("memory, share of the dead, halves, rounds", found, [0.95, 0.05, 0.01, 10]),
        defaults("and of a codebook", Codebook, decay=0.95, dead_below=0.05),
        golden("even shares at first", book.shares, torch.full((5,), 0.2)),
        golden("and their sums", book.sums, book.vectors / 5),
    ]


def times() -> Golden:
    """From 1 to 200 in equal ratios; filters of four tokens."""
    return [
        golden("three classes and none", ClassEmbedding(3, 2).table.weight.shape, (4, 2)),
        defaults("200 at most", TimeEmbedding, highest=200.0),
        golden("ends", TimeEmbedding(6).omega, [1.0, 200**0.5, 200.0]),
        defaults("arXiv:2312.00752 §3.4: 4 tokens", ShortConvolution, width=4, bias=True),
    ]


_NAMES = {
    "norms": norms,
    "feed-forward": widths,
    "convolution": pictures,
    "codebook": codes,
    "time": partial(times),
}

LAWS = [constants(f"layers/{name}", cases) for name, cases in _NAMES.items()]
