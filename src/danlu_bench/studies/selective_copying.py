r"""Selective copying: which layers keep what matters and forget the rest.

Claimed (arXiv:2312.00752 §4.1.1): a few symbols stand at random places among filler, and are asked
for in order afterwards. Layers whose state follows the input as little as a convolution does know
when, not what, and fail (S4 18 %); selective ones nearly solve it (Mamba 99.8 %), as attention can.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from danlu_bench.studies.claims import Claim, Study, publish
from danlu_bench.studies.tasks import NOTHING, Task, Texts, compare, listed, setting

SYMBOLS, KEPT, LENGTH, SECONDS = 8, (1, 2, 4), 32, 60.0
FILLER, ASKED = SYMBOLS, SYMBOLS + 1
SELECTIVE, FIXED = ("mamba2", "gated-delta"), ("s4d",)


def texts(kept: int, count: int, seed: int) -> Texts:
    """`kept` symbols at random places of 32 tokens, then a mark for each of them."""
    generator = torch.Generator().manual_seed(seed)
    symbols = (torch.rand(count, kept, generator=generator) * SYMBOLS).long()
    places = torch.rand(count, LENGTH, generator=generator).argsort(1)[:, :kept].sort(1).values
    ids = torch.full((count, LENGTH), FILLER).scatter(1, places, symbols)
    ids = torch.cat([ids, torch.full((count, kept), ASKED)], dim=1)
    wanted = torch.full_like(ids, NOTHING)
    wanted[:, LENGTH:] = symbols
    return ids, wanted


TASK = Task(
    name="selective-copying",
    tokens=SYMBOLS + 2,
    length=LENGTH + max(KEPT),
    sizes=KEPT,
    draw=texts,
)


def run(
    report: Callable[[str], None], *, seconds: float = SECONDS, folder: Path | None = None
) -> dict[str, Any]:
    """How many of 1, 2 and 4 symbols among 32 tokens seven layers copy, in equal CPU time."""
    found = compare(report, TASK, KEPT, seconds)
    most = {name: row["accuracy"][KEPT[-1]] for name, row in found.items()}
    selective, fixed = (max(most[name] for name in group) for group in (SELECTIVE, FIXED))
    claims = [
        Claim(text="selective layers nearly solve it", holds=selective > 0.95,
              found=", ".join(f"{name} {most[name]:.1%}" for name in SELECTIVE)),
        Claim(text="a state that does not depend on the input does not", holds=fixed < 0.5,
              found=f"s4d {fixed:.1%}, chance {1 / SYMBOLS:.1%}"),
        Claim(text="attention can do it as well", holds=most["softmax"] > 0.95,
              found=f"softmax {most['softmax']:.1%}"),
    ]  # fmt: skip
    study = Study(
        name=TASK.name,
        title="Selective copying",
        about=[
            f"One, two or four out of {SYMBOLS} symbols stand at random places among {LENGTH} "
            "tokens; as many marks at the end ask for them in order. Published are 16 symbols "
            "among 4,096 tokens.",
            setting(TASK, seconds),
        ],
        claims=claims,
        tables={"Accuracy": listed(found, "symbols")},
        pictures={},
        figures={"found": found},
    )
    return publish(study, report, folder)
