"""Golden values of the mixers."""

import math
from collections.abc import Callable

import torch

from danlu.laws.constants import Golden, constants, defaults, golden, normal, uniform
from danlu.laws.draws import seed
from danlu.mixers import MIXERS
from danlu.mixers.cross import CrossAttention
from danlu.mixers.diag_attention import DiagAttention
from danlu.mixers.efficient import EfficientAttention
from danlu.mixers.feature_maps import Exponential
from danlu.mixers.flash import FLASH
from danlu.mixers.gated_delta import GatedDeltaNet
from danlu.mixers.gated_linear import GatedLinearAttention
from danlu.mixers.gau import GAU
from danlu.mixers.linear import LinearAttention
from danlu.mixers.linformer import Linformer
from danlu.mixers.norm_attention import NormAttention
from danlu.mixers.performer import Performer, orthogonal_rows
from danlu.mixers.reformer import Reformer
from danlu.mixers.retention import Retention, angles
from danlu.mixers.softmax import Softmax
from danlu.mixers.sparse import Sparse
from danlu.mixers.transformer_vq import TransformerVQ

WIDE = 64
FIRST = 0
"""The seed of the features that a Performer begins with."""


def _xavier(gain: float, rows: int, columns: int) -> float:
    return gain * math.sqrt(6 / (rows + columns))


def softmax() -> Golden:
    """Eight heads of d/8, as of the base model."""
    layer, source = Softmax(WIDE), "arXiv:1706.03762 §3.2.2, h = 8"
    shifted = MIXERS["softmax-shifted"].build()
    biases = [
        map_.bias is not None
        for map_ in (shifted.query, shifted.key, shifted.value, shifted.output)
    ]
    return [
        defaults(source, Softmax, heads=8, key_heads=None, head_dim=None, causal=True, window=None),
        defaults(source, CrossAttention, heads=8, memory_dim=None),
        golden("d / h", [layer.head_dim, layer.key_heads], [8, 8]),
        golden("no bias in the maps", [layer.query.bias is None], [True]),
        golden("arXiv:1810.04805, a bias in each", biases, [True] * 4),
    ]


def gated_units() -> Golden:
    """Widths of the gated attention unit and of FLASH, and the start of gains."""
    layer = GAU(WIDE)
    gates = FLASH(WIDE, size=512).gates
    return [
        defaults("arXiv:2202.10447 §3.2, e = 2d, s = 128", GAU, hidden=None, size=128),
        defaults(
            "kexue.fm/archives/8934, relu^2 / (n s)",
            GAU,
            weights="scaled",
            divisor=None,
            causal=True,
        ),
        defaults("arXiv:2202.10447 §4.1, C = 256", FLASH, hidden=None, size=128, chunk=256),
        defaults("kexue.fm/archives/8934", FLASH, weights="scaled", causal=True),
        golden("U, V of 2d and Z of s", layer.gates.inward.weight.shape, (2 * 128 + 128, WIDE)),
        golden(
            "two pairs for FLASH, one for the unit",
            [len(gates.gain), len(layer.gates.gain)],
            [4, 2],
        ),
        normal("kexue.fm/archives/8934: gains around 1 by 0.02", gates.gain, 0.02, 1.0),
        golden("shifts of 0", gates.shift.abs().max(), 0.0),
    ]


def sparse() -> Golden:
    """Patterns, hashes, projections and blocks as their articles and first code have them."""
    layer = Linformer(4, length=500, keys=25, heads=1)
    return [
        defaults(
            "arXiv:1904.10509 §4.2-4.3", Sparse, heads=8, pattern="strided", stride=32, summaries=4
        ),
        defaults(
            "arXiv:2001.04451 §5: 4 hashes; trax: chunks of 64",
            Reformer,
            chunk=64,
            rounds=4,
            buckets=32,
            heads=8,
        ),
        defaults("arXiv:2210.10340 §4.2, w = 64", DiagAttention, heads=8, block=64),
        defaults("arXiv:2006.04768", Linformer, keys=64, heads=8),
        uniform("the article's code: U(-1/sqrt k, 1/sqrt k)", layer.mix_keys, -0.2, 0.2),
        uniform("and so F", layer.mix_values, -0.2, 0.2),
        defaults(
            "arXiv:2309.16354 §4: D_k = 128, S = 512",
            TransformerVQ,
            size=128,
            codes=512,
            block=256,
            hidden=None,
            cache_gradient=True,
        ),
        golden(
            "values and gate of 2d", TransformerVQ(8, size=4).inward.weight.shape, (2 * 16 + 8, 8)
        ),
        golden("the content bias starts at 0", TransformerVQ(8, size=4).content, torch.zeros(4)),
    ]


def linear() -> Golden:
    """Maps of features: what is drawn, and how long its rows are."""
    torch.manual_seed(seed())
    rows = orthogonal_rows(4000, 16, norms="chi", seed=seed(1)).double()
    size = rows.norm(dim=1)
    # The mean of the chi distribution of 16 degrees of freedom, and its variance 16 - mean^2.
    mean = math.sqrt(2) * math.exp(math.lgamma(8.5) - math.lgamma(8))
    equal = orthogonal_rows(20, 16, norms="equal", seed=seed(1)).double()
    return [
        *(
            defaults("8 heads, as softmax", target, heads=8)
            for target in (LinearAttention, NormAttention, EfficientAttention)
        ),
        defaults(
            "arXiv:2009.14794 §4, m = 256",
            Performer,
            features=256,
            heads=8,
            norms="chi",
            redraw_every=0,
        ),
        normal("Exponential: d^(-1/4) N(0, 1)", Exponential(16, features=2000).directions, 0.5),
        normal("rows are N(0, I)", rows, 1.0),
        golden(
            "lengths: chi of d",
            (size.mean() - mean).abs() < 6 * math.sqrt((16 - mean**2) / 4000),
            True,
        ),
        golden("all of sqrt(d) where they are equal", equal.norm(dim=1), torch.full((20,), 4.0)),
        golden(
            "the first features are those of seed 0",
            Performer(8, heads=2, features=6).projection,
            orthogonal_rows(6, 4, norms="chi", seed=FIRST),
        ),
    ]


def retention() -> Golden:
    """Rates 1 - 2^(-5-h), angles with both ends, Xavier's start with small gains."""
    layer, source = Retention(WIDE, heads=4), "torchscale: gain 2^-2.5"
    bound = _xavier(2**-2.5, WIDE, WIDE)
    wide = _xavier(2**-2.5, WIDE, 2 * WIDE)
    return [
        defaults(
            "arXiv:2307.08621 table 1: values of 2d", Retention, heads=8, expand=2, rates="powers"
        ),
        golden(
            "arXiv:2307.08621 eq. 8",
            layer.log_decay.exp(),
            [0.96875, 0.984375, 0.9921875, 0.99609375],
        ),
        golden(
            "§3.1: 1 - exp(linspace(log 1/32, log 1/512, h))",
            Retention(6, heads=3, rates="spread").log_decay.exp(),
            [0.96875, 0.9921875, 0.998046875],
        ),
        golden(
            "torchscale: 10000^-linspace(0, 1, d/2)",
            angles(8),
            [1, 0.046415888336127774, 0.002154434690031882, 1e-4],
        ),
        uniform(source, layer.query.weight, -bound, bound),
        uniform(source, layer.key.weight, -bound, bound),
        uniform(source, layer.value.weight, -wide, wide),
        uniform(source, layer.gate.weight, -wide, wide),
        uniform(
            "torchscale: gain 1/2",
            layer.output.weight,
            -_xavier(0.5, WIDE, 2 * WIDE),
            _xavier(0.5, WIDE, 2 * WIDE),
        ),
    ]


def gated_linear() -> Golden:
    """GLA's widths and start."""
    layer, source = GatedLinearAttention(WIDE), "fla: gain 2^-2.5"
    key, rise, fall = (_xavier(2**-2.5, *shape) for shape in ((32, 64), (16, 64), (32, 16)))
    down, up = layer.decay
    return [
        defaults(
            "arXiv:2312.06635 §4.4: d_k = d/2, rank 16, 4 heads",
            GatedLinearAttention,
            heads=4,
            key_dim=None,
            rank=16,
        ),
        golden("d_k = d/2", layer.key.weight.shape, (32, 64)),
        uniform(source, layer.query.weight, -key, key),
        uniform(source, layer.key.weight, -key, key),
        uniform(source, down.weight, -rise, rise),
        uniform(source, up.weight, -fall, fall),
    ]


def gated_delta() -> Golden:
    """Gated DeltaNet's widths and the start of its decays."""
    torch.manual_seed(seed())
    layer = GatedDeltaNet(8, heads=2000, head_dim=1)
    step = (1 + layer.step_bias.exp()).log()
    return [
        defaults(
            "arXiv:2412.06464, fla: values of 2 d_k, filters of 4",
            GatedDeltaNet,
            heads=4,
            head_dim=None,
            expand=2,
            width=4,
        ),
        uniform("fla: A of U(0, 16)", layer.log_rate.exp(), 0.0, 16.0),
        uniform(
            "softplus(b) log-uniform on [1e-3, 1e-1]", step.log(), math.log(1e-3), math.log(1e-1)
        ),
        golden("taps", layer.convolution.weight.shape[1], 4),
    ]


_NAMES: dict[str, Callable[[], Golden]] = {
    "softmax": softmax,
    "gau": gated_units,
    "sparse": sparse,
    "linear": linear,
    "retention": retention,
    "gated-linear": gated_linear,
    "gated-delta": gated_delta,
}

LAWS = [constants(f"mixers/{name}", cases) for name, cases in _NAMES.items()]
