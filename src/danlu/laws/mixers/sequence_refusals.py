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


def _pair(target: Callable[..., Any], *given: Any, **facts: Any) -> Pair:
    """Two calls; a list holds what is refused of a fact, and what is allowed."""
    refused, allowed = (
        {name: fact[way] if isinstance(fact, list) else fact for name, fact in facts.items()}
        for way in (0, 1)
    )
    return partial(target, *given, **refused), partial(target, *given, **allowed)


def _turned(**facts: Any) -> Attempt:
    x = torch.zeros(1, 1, 2, 4)
    places = torch.zeros(1, 2, *facts.get("axes", ()))
    return lambda: facts["position"].rotate(x, x, places, places)


MIXERS: dict[str, Pair] = {
    "heads that do not divide": _pair(Softmax, 8, heads=[3, 1]),
    "key heads": _pair(Softmax, 8, heads=4, key_heads=[3, 4]),
    "an empty window": _pair(Softmax, 8, heads=2, window=[0, 1]),
    "an empty block": _pair(DiagAttention, 8, heads=2, block=[0, 1]),
    "an empty chunk": _pair(FLASH, 8, size=4, chunk=[0, 1]),
    "no formula of weights": _pair(GAU, 8, size=4, weights=[WRONG, "summed"]),
    "nor of FLASH": _pair(FLASH, 8, size=4, weights=[WRONG, "softmax-plus"]),
    "odd buckets": _pair(Reformer, 8, heads=2, buckets=[3, 2]),
    "no bucket": (
        partial(Reformer, 8, heads=2, buckets=0),
        partial(Reformer, 8, heads=2, chunk=1, rounds=1),
    ),
    "no chunk": _pair(Reformer, 8, heads=2, chunk=[0, 1]),
    "no round": _pair(Reformer, 8, heads=2, rounds=[0, 1]),
    "odd heads of patterns": (partial(Sparse, 9, heads=3), partial(Sparse, 8, heads=2)),
    "no pattern": _pair(Sparse, 8, heads=2, pattern=[WRONG, "fixed"]),
    "no summary": _pair(Sparse, 8, heads=2, stride=3, summaries=[0, 1]),
    "too many summaries": _pair(Sparse, 8, heads=2, stride=3, summaries=[4, 3]),
    "a block without tokens": _pair(TransformerVQ, 8, size=4, block=[0, 1]),
    "norms of features": _pair(Performer, 8, heads=2, norms=[WRONG, "equal"]),
    "rates": _pair(Retention, 8, heads=2, rates=[WRONG, "spread"]),
    "an odd state": _pair(S4D, 4, states=[3, 2]),
    "no state": _pair(S4D, 4, states=[0, 4]),
    "even waves": _pair(HippoFourier, 4, states=[4, 1]),
    "heads of Mamba-2": _pair(Mamba2, 8, head_dim=[5, 16]),
    "groups of Mamba-2": _pair(Mamba2, 8, head_dim=4, groups=[3, 4]),
    "a bias without scores": _pair(LinearAttention, 8, heads=2, position=[ALiBi(2), Rotary(4)]),
    "a rotation of sums": _pair(TransformerVQ, 8, size=4, position=[Rotary(4), ALiBi(1)]),
    "a rotation of mixtures": _pair(
        Linformer, 8, length=4, heads=2, position=[Rotary(4), Sinusoidal(8)]
    ),
    "a bias of waves": _pair(FNet, 8, position=[ALiBi(2), Sinusoidal(8)]),
    "a codebook without codes": (partial(Codebook, 0, 3), partial(Codebook, 1, 3)),
    "codes without numbers": (partial(Codebook, 3, 0), partial(Codebook, 3, 1)),
    "endless memory": _pair(Codebook, 3, 2, decay=[1.0, 0.0]),
    "all dead": _pair(Codebook, 3, 2, dead_below=[1.0, 0.0]),
    "odd waves of time": (partial(TimeEmbedding, 3), partial(TimeEmbedding, 2)),
}

POSITIONS: dict[str, Pair] = {
    "an odd number of features turns": _pair(Rotary, 4, rotated=[3, 0]),
    "more than there are": _pair(Rotary, 4, rotated=[6, 4]),
    "less than none": _pair(Rotary, 4, rotated=[-2, 2]),
    "a layout": _pair(Rotary, 4, layout=[WRONG, "interleaved"]),
    "too few frequencies": _pair(Rotary, 4, frequencies=[(1.0,), (1.0, 0.5)]),
    "heads of another size": (
        _turned(position=Rotary(6)),
        _turned(position=Rotary(4)),
    ),
    "no axis": _pair(RotaryGrid, 4, axes=[0, 1]),
    "axes that do not divide": _pair(RotaryGrid, 6, axes=[2, 3]),
    "missing coordinates": (
        _turned(position=RotaryGrid(4)),
        _turned(position=RotaryGrid(4), axes=(2,)),
    ),
    "too many coordinates": (
        _turned(position=RotaryGrid(4), axes=(3,)),
        _turned(position=MRoPE(4, sections=(1, 1, 0)), axes=(3,)),
    ),
    "sections that do not add up": _pair(MRoPE, 16, sections=[(2, 3, 2), (2, 3, 3)]),
    "less than no section": _pair(MRoPE, 16, sections=[(-1, 4, 5), (0, 4, 4)]),
    "an order": _pair(MRoPE, 16, sections=(2, 3, 3), order=[WRONG, "interleaved"]),
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
    "an even kernel": _pair(ZeroPaddedConvolution, 4, kernel=[2, 1]),
    "an empty kernel": _pair(ZeroPaddedConvolution, 4, kernel=[-1, 5]),
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
