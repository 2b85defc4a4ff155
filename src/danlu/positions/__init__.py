"""Position encodings, each under the contract of `danlu.positions.base`.

A row's `build()` makes the tiny instance that the laws use: for a width of 8, or two heads of 4.
"""

from functools import partial

import torch

from danlu.contracts import Method
from danlu.positions.alibi import ALiBi
from danlu.positions.base import HOOKS, PositionEncoding
from danlu.positions.completeness import Completeness, completeness
from danlu.positions.complex_embedding import ComplexEmbedding
from danlu.positions.convolution import ZeroPaddedConvolution
from danlu.positions.deberta import DeBERTa
from danlu.positions.deberta_v2 import DeBERTaV2
from danlu.positions.general_rotary import GeneralRotary
from danlu.positions.hierarchical import Hierarchical, hierarchical_table
from danlu.positions.interpolation import InterpolatedRotary
from danlu.positions.learned import Learned
from danlu.positions.llama3 import Llama3Rotary
from danlu.positions.multimodal_rotary import MRoPE
from danlu.positions.multiplicative import Multiplicative
from danlu.positions.none import NoPosition
from danlu.positions.ntk import NTKRotary
from danlu.positions.ntk_dynamic import DynamicNTKRotary
from danlu.positions.orthogonal_power import OrthogonalPower
from danlu.positions.recursive import Recursive
from danlu.positions.rotary import Rotary, permute_rope_weights
from danlu.positions.rotary_grid import RotaryGrid
from danlu.positions.rotary_values import RotaryValues
from danlu.positions.shaw import Shaw
from danlu.positions.sinusoidal import Sinusoidal
from danlu.positions.t5 import T5
from danlu.positions.transformer_xl import TransformerXL
from danlu.positions.yarn import YaRN
from danlu.positions.yarn_turns import YaRNTurns

__all__ = [
    "HOOKS",
    "POSITIONS",
    "T5",
    "ALiBi",
    "Completeness",
    "ComplexEmbedding",
    "DeBERTa",
    "DeBERTaV2",
    "DynamicNTKRotary",
    "GeneralRotary",
    "Hierarchical",
    "InterpolatedRotary",
    "Learned",
    "Llama3Rotary",
    "MRoPE",
    "Multiplicative",
    "NTKRotary",
    "NoPosition",
    "OrthogonalPower",
    "PositionEncoding",
    "Recursive",
    "Rotary",
    "RotaryGrid",
    "RotaryValues",
    "Shaw",
    "Sinusoidal",
    "TransformerXL",
    "YaRN",
    "YaRNTurns",
    "ZeroPaddedConvolution",
    "completeness",
    "hierarchical_table",
    "permute_rope_weights",
]

POSITIONS = {
    "none": Method(NoPosition, ("arXiv:2203.16634",), NoPosition),
    "sinusoidal": Method(Sinusoidal, ("arXiv:1706.03762",), partial(Sinusoidal, 8)),
    "learned": Method(Learned, ("arXiv:1705.03122",), partial(Learned, 8, 64)),
    "rope": Method(Rotary, ("arXiv:2104.09864", "kexue.fm/archives/8265"), partial(Rotary, 4)),
    "rope-interleaved": Method(
        Rotary, ("arXiv:2104.09864",), partial(Rotary, 4, layout="interleaved")
    ),
    "rope-partial": Method(Rotary, ("arXiv:2204.06745",), partial(Rotary, 4, rotated=2)),
    "rope-values": Method(RotaryValues, ("kexue.fm/archives/8130",), partial(RotaryValues, 4)),
    "alibi": Method(ALiBi, ("arXiv:2108.12409",), partial(ALiBi, 2)),
    "t5": Method(T5, ("arXiv:1910.10683",), partial(T5, 2, buckets=8, farthest=16)),
    "shaw": Method(Shaw, ("arXiv:1803.02155",), partial(Shaw, 4, farthest=3)),
    "transformer-xl": Method(
        TransformerXL, ("arXiv:1901.02860", "arXiv:1906.08237"), partial(TransformerXL, 2, 4)
    ),
    "rope-interpolated": Method(
        InterpolatedRotary, ("arXiv:2306.15595",), partial(InterpolatedRotary, 4, factor=4.0)
    ),
    "rope-ntk": Method(
        NTKRotary,
        ("arXiv:2309.00071", "kexue.fm/archives/9675"),
        partial(NTKRotary, 4, factor=4.0),
    ),
    "rope-ntk-dynamic": Method(
        DynamicNTKRotary, ("arXiv:2309.00071",), partial(DynamicNTKRotary, 4, length=64)
    ),
    "rope-yarn": Method(YaRN, ("arXiv:2309.00071",), partial(YaRN, 4, factor=4.0, length=64)),
    "rope-yarn-turns": Method(
        YaRNTurns, ("arXiv:2309.00071",), partial(YaRNTurns, 4, factor=4.0, length=64)
    ),
    "rope-llama3": Method(Llama3Rotary, ("arXiv:2407.21783",), partial(Llama3Rotary, 4)),
    "rope-grid": Method(RotaryGrid, ("kexue.fm/archives/8397",), partial(RotaryGrid, 4)),
    "m-rope": Method(MRoPE, ("arXiv:2409.12191",), partial(MRoPE, 4, sections=(1, 1, 0))),
    "rope-general": Method(GeneralRotary, ("kexue.fm/archives/9403",), partial(GeneralRotary, 4)),
    "orthogonal-power": Method(
        OrthogonalPower,
        ("kexue.fm/archives/9403",),
        lambda: OrthogonalPower(torch.eye(4).roll(1, 0)),
    ),
    "multiplicative": Method(
        Multiplicative, ("kexue.fm/archives/8130",), partial(Multiplicative, 8, 64)
    ),
    "hierarchical": Method(Hierarchical, ("kexue.fm/archives/7947",), partial(Hierarchical, 8, 6)),
    "complex": Method(ComplexEmbedding, ("arXiv:1912.12333",), ComplexEmbedding),
    "deberta": Method(DeBERTa, ("arXiv:2006.03654",), partial(DeBERTa, 2, 4, farthest=3)),
    "deberta-paper": Method(
        DeBERTa, ("arXiv:2006.03654",), partial(DeBERTa, 2, 4, farthest=3, back="paper")
    ),
    "deberta-v2": Method(
        DeBERTaV2,
        ("arXiv:2006.03654", "arXiv:2111.09543"),
        partial(DeBERTaV2, 2, 4, farthest=9, buckets=4),
    ),
    "floater": Method(Recursive, ("arXiv:2003.09229",), partial(Recursive, 8, 36)),
    "zero-padding": Method(
        ZeroPaddedConvolution,
        ("arXiv:2001.08248", "arXiv:2102.10882"),
        partial(ZeroPaddedConvolution, 8),
    ),
}
