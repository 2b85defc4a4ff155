r"""The rank of attention: what a matrix of weights can say, softmax or linear.

Claimed (kexue.fm/archives/8338; arXiv:2103.03404): the $n \times n$ weights of linear attention are
a product through the size $d$ of a head, hence of rank $d$ at most, where $e^{QK^\top}$ can have
rank $n$; this matters in layers that see both sides, since the triangle of a causal layer has rank
$n$ anyway, and so has a band of $\pm w$ tokens: cutting linear attention to a band gives back what
it lost.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import elu

from danlu_bench.page import curves
from danlu_bench.studies.claims import Claim, Study, publish

LENGTH, DIM, BAND = 128, 8, 8
NEARLY = 0.95
"""Of n: triangles are of full rank, but some of their singular values are below the rounding."""
KINDS = ("softmax", "linear", "elu + 1")
CUTS = ("both sides", "causal", "band")


def run(report: Callable[[str], None], *, folder: Path | None = None) -> dict[str, Any]:
    """Ranks of random attention of three kinds, whole, causal, and cut to a band."""
    found = {cut: {kind: weights(kind, cut) for kind in KINDS} for cut in CUTS}
    ranks = {
        cut: {kind: int(torch.linalg.matrix_rank(matrix)) for kind, matrix in row.items()}
        for cut, row in found.items()
    }
    felt = {
        cut: {kind: effective(matrix) for kind, matrix in row.items()} for cut, row in found.items()
    }
    claims = _claims(ranks, felt)
    rows = [
        (kind, *(f"{ranks[cut][kind]} ({felt[cut][kind]:.1f})" for cut in CUTS)) for kind in KINDS
    ]
    shown = {
        f"{kind}, {cut}": spectrum(found[cut][kind])
        for cut, kind in (("both sides", "softmax"), ("both sides", "elu + 1"),
                          ("causal", "elu + 1"), ("band", "elu + 1"))
    }  # fmt: skip
    study = Study(
        name="attention-ranks",
        title="The rank of attention",
        about=[
            f"One head of size {DIM} over {LENGTH} standard normal tokens, in float64. Rows of "
            "weights sum to 1, but for the plain product `linear`, which has no divisor. In "
            "brackets the effective rank: the exponential of the entropy of the singular values.",
        ],
        claims=claims,
        tables={"Rank, and effective rank": [("weights", *CUTS), *rows]},
        pictures={"singular-values": curves(shown, "number", "singular value, power of 10")},
        figures={"ranks": ranks, "effective": felt},
    )
    return publish(study, report, folder)


def _claims(ranks: dict[str, dict[str, int]], felt: dict[str, dict[str, float]]) -> list[Claim]:
    """What the ranks say."""
    both, causal, band = (ranks[cut] for cut in CUTS)
    gain = felt["band"]["elu + 1"] / felt["both sides"]["elu + 1"]
    return [
        Claim(
            text="linear attention to both sides has rank d at most, softmax n",
            found=", ".join(f"{kind} {rank}" for kind, rank in both.items()),
            holds=max(both["linear"], both["elu + 1"]) <= DIM and both["softmax"] == LENGTH,
        ),
        Claim(
            text="causal layers have rank n of either kind",
            found=", ".join(f"{kind} {rank}" for kind, rank in causal.items()),
            holds=min(causal.values()) >= NEARLY * LENGTH,
        ),
        Claim(
            text=f"so has linear attention cut to {BAND} tokens on each side",
            found=f"elu + 1 {band['elu + 1']}, effective rank {gain:.0f} times that of the whole",
            holds=band["elu + 1"] >= NEARLY * LENGTH and gain > 5,
        ),
    ]


def weights(kind: str, cut: str) -> Float[Tensor, "length length"]:
    """Attention weights of random queries and keys."""
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, LENGTH, DIM, generator=generator, dtype=torch.float64)
    if kind == "softmax":
        scores = (q @ k.T / math.sqrt(DIM)).exp()
    else:
        scores = q @ k.T if kind == "linear" else (elu(q) + 1) @ (elu(k) + 1).T
    place = torch.arange(LENGTH)
    behind = place[:, None] - place
    seen = {"both sides": behind.abs() >= 0, "causal": behind >= 0, "band": behind.abs() <= BAND}
    scores = scores * seen[cut]
    return scores if kind == "linear" else scores / scores.sum(1, keepdim=True)


def effective(matrix: Float[Tensor, "length length"]) -> float:
    """The exponential of the entropy of the singular values as shares."""
    share = torch.linalg.svdvals(matrix)
    share = share[share > 0] / share.sum()
    return math.exp(-(share * share.log()).sum().item())


def spectrum(matrix: Float[Tensor, "length length"]) -> tuple[list[float], list[float]]:
    """The singular values in order, as powers of 10."""
    values = torch.linalg.svdvals(matrix).clamp(min=1e-17).log10()
    return [float(n) for n in range(1, LENGTH + 1)], values.tolist()
