"""What sequence layers and position encodings refuse to be built of, and what is just allowed."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch

from danlu.contracts import DanluError, SequenceContext
from danlu.laws.law import Case, Law, law_of_cases
from danlu.layers.codebook import Codebook
from danlu.layers.time import TimeEmbedding
from danlu.mixers.diag_attention import DiagAttention
from danlu.mixers.flash import FLASH
from danlu.mixers.fnet import FNet
from danlu.mixers.gau import GAU
from danlu.mixers.hippo_fourier import HippoFourier
from danlu.mixers.linear import LinearAttention
from danlu.mixers.linformer import Linformer
from danlu.mixers.mamba2 import Mamba2
from danlu.mixers.performer import Performer
from danlu.mixers.reformer import Reformer
from danlu.mixers.retention import Retention
from danlu.mixers.s4d import S4D
from danlu.mixers.softmax import Softmax
from danlu.mixers.sparse import Sparse
from danlu.mixers.transformer_vq import TransformerVQ
from danlu.positions.alibi import ALiBi
from danlu.positions.complex_embedding import ComplexEmbedding
from danlu.positions.convolution import ZeroPaddedConvolution
from danlu.positions.general_rotary import GeneralRotary
from danlu.positions.multimodal_rotary import MRoPE
from danlu.positions.ntk import NTKRotary
from danlu.positions.orthogonal_power import OrthogonalPower
from danlu.positions.rotary import Rotary
from danlu.positions.rotary_grid import RotaryGrid
from danlu.positions.sinusoidal import Sinusoidal
from danlu.positions.transformer_xl import TransformerXL

WRONG: Any = "cubic"
"""No name of any choice."""

Attempt = Callable[[], Any]
Pair = tuple[Attempt, Attempt]
"""What is refused, and what is just allowed."""


def _rotary(dim: int, **facts: Any) -> Attempt:
    return partial(Rotary, dim, **facts)


def _turned(**facts: Any) -> Attempt:
    x = torch.zeros(1, 1, 2, 4)
    places = torch.zeros(1, 2, *facts.get("axes", ()))
    return lambda: facts["position"].rotate(x, x, places, places)


MIXERS: dict[str, Pair] = {
    "heads that do not divide": (partial(Softmax, 8, heads=3), partial(Softmax, 8, heads=1)),
    "key heads": (
        partial(Softmax, 8, heads=4, key_heads=3),
        partial(Softmax, 8, heads=4, key_heads=4),
    ),
    "an empty window": (
        partial(Softmax, 8, heads=2, window=0),
        partial(Softmax, 8, heads=2, window=1),
    ),
    "an empty block": (
        partial(DiagAttention, 8, heads=2, block=0),
        partial(DiagAttention, 8, heads=2, block=1),
    ),
    "an empty chunk": (partial(FLASH, 8, size=4, chunk=0), partial(FLASH, 8, size=4, chunk=1)),
    "no formula of weights": (
        partial(GAU, 8, size=4, weights=WRONG),
        partial(GAU, 8, size=4, weights="summed"),
    ),
    "nor of FLASH": (
        partial(FLASH, 8, size=4, weights=WRONG),
        partial(FLASH, 8, size=4, weights="softmax-plus"),
    ),
    "odd buckets": (
        partial(Reformer, 8, heads=2, buckets=3),
        partial(Reformer, 8, heads=2, buckets=2),
    ),
    "no bucket": (
        partial(Reformer, 8, heads=2, buckets=0),
        partial(Reformer, 8, heads=2, chunk=1, rounds=1),
    ),
    "no chunk": (
        partial(Reformer, 8, heads=2, chunk=0),
        partial(Reformer, 8, heads=2, chunk=1),
    ),
    "no round": (
        partial(Reformer, 8, heads=2, rounds=0),
        partial(Reformer, 8, heads=2, rounds=1),
    ),
    "odd heads of patterns": (partial(Sparse, 9, heads=3), partial(Sparse, 8, heads=2)),
    "no pattern": (
        partial(Sparse, 8, heads=2, pattern=WRONG),
        partial(Sparse, 8, heads=2, pattern="fixed"),
    ),
    "no summary": (
        partial(Sparse, 8, heads=2, stride=3, summaries=0),
        partial(Sparse, 8, heads=2, stride=3, summaries=1),
    ),
    "too many summaries": (
        partial(Sparse, 8, heads=2, stride=3, summaries=4),
        partial(Sparse, 8, heads=2, stride=3, summaries=3),
    ),
    "a block without tokens": (
        partial(TransformerVQ, 8, size=4, block=0),
        partial(TransformerVQ, 8, size=4, block=1),
    ),
    "norms of features": (
        partial(Performer, 8, heads=2, norms=WRONG),
        partial(Performer, 8, heads=2, norms="equal"),
    ),
    "rates": (
        partial(Retention, 8, heads=2, rates=WRONG),
        partial(Retention, 8, heads=2, rates="spread"),
    ),
    "an odd state": (partial(S4D, 4, states=3), partial(S4D, 4, states=2)),
    "no state": (partial(S4D, 4, states=0), partial(S4D, 4, states=4)),
    "even waves": (partial(HippoFourier, 4, states=4), partial(HippoFourier, 4, states=1)),
    "heads of Mamba-2": (partial(Mamba2, 8, head_dim=5), partial(Mamba2, 8, head_dim=16)),
    "groups of Mamba-2": (
        partial(Mamba2, 8, head_dim=4, groups=3),
        partial(Mamba2, 8, head_dim=4, groups=4),
    ),
    "a bias without scores": (
        partial(LinearAttention, 8, heads=2, position=ALiBi(2)),
        partial(LinearAttention, 8, heads=2, position=Rotary(4)),
    ),
    "a rotation of sums": (
        partial(TransformerVQ, 8, size=4, position=Rotary(4)),
        partial(TransformerVQ, 8, size=4, position=ALiBi(1)),
    ),
    "a rotation of mixtures": (
        partial(Linformer, 8, length=4, heads=2, position=Rotary(4)),
        partial(Linformer, 8, length=4, heads=2, position=Sinusoidal(8)),
    ),
    "a bias of waves": (
        partial(FNet, 8, position=ALiBi(2)),
        partial(FNet, 8, position=Sinusoidal(8)),
    ),
    "a codebook without codes": (partial(Codebook, 0, 3), partial(Codebook, 1, 3)),
    "codes without numbers": (partial(Codebook, 3, 0), partial(Codebook, 3, 1)),
    "endless memory": (partial(Codebook, 3, 2, decay=1.0), partial(Codebook, 3, 2, decay=0.0)),
    "all dead": (
        partial(Codebook, 3, 2, dead_below=1.0),
        partial(Codebook, 3, 2, dead_below=0.0),
    ),
    "odd waves of time": (partial(TimeEmbedding, 3), partial(TimeEmbedding, 2)),
}

POSITIONS: dict[str, Pair] = {
    "an odd number of features turns": (_rotary(4, rotated=3), _rotary(4, rotated=0)),
    "more than there are": (_rotary(4, rotated=6), _rotary(4, rotated=4)),
    "less than none": (_rotary(4, rotated=-2), _rotary(4, rotated=2)),
    "a layout": (_rotary(4, layout=WRONG), _rotary(4, layout="interleaved")),
    "too few frequencies": (
        _rotary(4, frequencies=(1.0,)),
        _rotary(4, frequencies=(1.0, 0.5)),
    ),
    "heads of another size": (
        _turned(position=Rotary(6)),
        _turned(position=Rotary(4)),
    ),
    "no axis": (partial(RotaryGrid, 4, axes=0), partial(RotaryGrid, 4, axes=1)),
    "axes that do not divide": (partial(RotaryGrid, 6, axes=2), partial(RotaryGrid, 6, axes=3)),
    "missing coordinates": (
        _turned(position=RotaryGrid(4)),
        _turned(position=RotaryGrid(4), axes=(2,)),
    ),
    "too many coordinates": (
        _turned(position=RotaryGrid(4), axes=(3,)),
        _turned(position=MRoPE(4, sections=(1, 1, 0)), axes=(3,)),
    ),
    "sections that do not add up": (
        partial(MRoPE, 16, sections=(2, 3, 2)),
        partial(MRoPE, 16, sections=(2, 3, 3)),
    ),
    "less than no section": (
        partial(MRoPE, 16, sections=(-1, 4, 5)),
        partial(MRoPE, 16, sections=(0, 4, 4)),
    ),
    "an order": (
        partial(MRoPE, 16, sections=(2, 3, 3), order=WRONG),
        partial(MRoPE, 16, sections=(2, 3, 3), order="interleaved"),
    ),
    "an odd width": (partial(Sinusoidal, 3), partial(Sinusoidal, 2)),
    "an odd width of all heads": (partial(TransformerXL, 1, 3), partial(TransformerXL, 2, 3)),
    "an odd width of waves": (
        partial(ComplexEmbedding().input_width, 3),
        partial(ComplexEmbedding().input_width, 2),
    ),
    "waves that are not three": (
        lambda: ComplexEmbedding().embed(torch.zeros(1, 1, 4), _FIRST),
        lambda: ComplexEmbedding().embed(torch.zeros(1, 1, 3), _FIRST),
    ),
    "an even kernel": (
        partial(ZeroPaddedConvolution, 4, kernel=2),
        partial(ZeroPaddedConvolution, 4, kernel=1),
    ),
    "an empty kernel": (
        partial(ZeroPaddedConvolution, 4, kernel=-1),
        partial(ZeroPaddedConvolution, 4, kernel=5),
    ),
    "an odd head": (partial(GeneralRotary, 3), partial(GeneralRotary, 2)),
    "a single pair": (partial(NTKRotary, 2, factor=2.0), partial(NTKRotary, 4, factor=2.0)),
    "a matrix that stretches": (
        lambda: OrthogonalPower(torch.eye(2) * (1 + 0.6e-5)),
        lambda: OrthogonalPower(torch.eye(2) * (1 + 0.4e-5)),
    ),
}

_FIRST = SequenceContext(positions=torch.zeros(1, 1))


def _cases(rows: dict[str, Pair]) -> Iterable[Case]:
    for words, (refused, allowed) in rows.items():
        yield words, partial(_unanswered, refused)
        yield f"what is next to {words}", partial(_raised, allowed)


def _unanswered(attempt: Attempt) -> float:
    """0 if an error in words answers.

    Where annotations are checked, as in the tests, that of a choice refuses first, by a TypeError.
    """
    try:
        attempt()
    except (DanluError, ValueError, TypeError) as error:
        return float(len(str(error).split()) < 4)
    return 1.0


def _raised(attempt: Attempt) -> float:
    attempt()
    return 0.0


_SAID = "what cannot be built is refused in words, and what is next to it is built"

LAWS: list[Law] = [
    law_of_cases(f"{room}/built-of", _SAID, 0.0, partial(_cases, rows), "contract")
    for room, rows in {"mixers": MIXERS, "positions": POSITIONS}.items()
]
