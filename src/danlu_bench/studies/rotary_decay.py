r"""Rotary positions: scores fade with distance, whatever the vectors.

Claimed (arXiv:2104.09864 §3.4.3; kexue.fm/archives/8265): with angles $\theta_j = b^{-2j/d}$ the
score at distance $m$ is bounded by the mean of $|S_i|$,
$S_i = \sum_{j < i} e^{\mathrm i m\theta_j}$, which falls as $m$ grows, slower for a larger base
$b$. The bound is of scores of any vectors; what random vectors have is measured beside it.
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from danlu.positions.frequencies import geometric
from danlu.positions.rotary import Rotary
from danlu_bench.page import curves
from danlu_bench.studies.claims import Claim, Study, publish

DIM, PAIRS = 128, 4000
DISTANCES = (0, 1, 4, 16, 64, 256, 1024, 4096)
BASES = (100.0, 10_000.0, 500_000.0)
PUBLISHED = {0: 32.5, 1: 31.5, 4: 22.6, 16: 15.8, 64: 10.1, 256: 6.5}


def run(report: Callable[[str], None], *, folder: Path | None = None) -> dict[str, Any]:
    """The bound at all distances and for three bases, and scores of equal and random vectors."""
    bounds = {base: {m: bound(m, base) for m in DISTANCES} for base in BASES}
    scores = {kind: {m: score(m, kind) for m in DISTANCES} for kind in ("equal", "random")}
    claims = _claims(bounds, scores)
    lines = {f"bound, b={base:g}": ([float(max(m, 0.5)) for m in row], [*row.values()])
             for base, row in bounds.items()}  # fmt: skip
    rows = [(f"bound, b={base:g}", *(f"{row[m]:.2f}" for m in DISTANCES))
            for base, row in bounds.items()]  # fmt: skip
    rows += [(f"score of {kind} vectors", *(f"{row[m]:.3f}" for m in DISTANCES))
             for kind, row in scores.items()]  # fmt: skip
    study = Study(
        name="rotary-decay",
        title="Rotary positions fade with distance",
        about=[
            f"Heads of {DIM}. The bound is the mean of the absolute partial sums. Scores are of "
            f"{PAIRS} pairs of vectors of norm 1: of the same vector the mean, of two random ones "
            "the root mean square.",
        ],
        claims=claims,
        tables={"By distance": [("what", *map(str, DISTANCES)), *rows]},
        pictures={"bound": curves(lines, "distance", "bound", log=True)},
        figures={"bounds": bounds, "scores": scores},
    )
    return publish(study, report, folder)


def _claims(
    bounds: dict[float, dict[int, float]], scores: dict[str, dict[int, float]]
) -> list[Claim]:
    """What bound and scores say."""
    usual = bounds[10_000.0]
    off = max(abs(usual[m] - value) for m, value in PUBLISHED.items())
    falling = [m for m in DISTANCES if m <= 256]
    pairs = list(pairwise(falling))
    drop = {kind: row[256] / row[0] for kind, row in scores.items()}
    return [
        Claim(
            text="the bound falls with distance",
            found=", ".join(f"{m}: {usual[m]:.1f}" for m in falling),
            holds=all(usual[b] < usual[a] for a, b in pairs),
        ),
        Claim(
            text="the published curve",
            found=f"differs by {off:.2f} at most from its values",
            holds=off < 0.06,
        ),
        Claim(
            text="a larger base fades more slowly",
            found=", ".join(
                f"b={base:g}: {row[256] / row[0]:.2f} of 0 at 256" for base, row in bounds.items()
            ),
            holds=bounds[100.0][256] < usual[256] < bounds[500_000.0][256],
        ),
        Claim(
            text="hence equal query and key attend less to what is far",
            found=f"their score at 256 is {drop['equal']:.2f} of that at 0",
            holds=drop["equal"] < 0.5,
        ),
        Claim(
            text="and so do any other two vectors, on average",
            found=f"the root mean square of random scores at 256 is {drop['random']:.2f} of 0's",
            holds=drop["random"] < 0.9,
        ),
    ]


def bound(distance: int, base: float) -> float:
    """The mean absolute partial sum of the rotations at a distance."""
    theta = torch.tensor(geometric(DIM, base), dtype=torch.float64)
    turns = torch.polar(torch.ones_like(theta), distance * theta)
    return turns.cumsum(0).abs().mean().item()


def score(distance: int, kind: str) -> float:
    """Of vectors of norm 1 at a distance: the mean of equal ones, the mean square of others."""
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, PAIRS, DIM, generator=generator, dtype=torch.float64)
    q, k = (x / x.norm(dim=-1, keepdim=True) for x in (q, q if kind == "equal" else k))
    here = torch.zeros(1, PAIRS)
    q, k = Rotary(DIM).rotate(q, k, here + distance, here)
    product = (q * k).sum(-1)
    return (product.mean() if kind == "equal" else product.square().mean().sqrt()).item()
