r"""Induction heads: which layers say what followed last time, in texts of any length.

Claimed (arXiv:2312.00752 §4.1.2 and table 11): a mark stands somewhere in a text and once more at
its end, and what followed the first is asked for. A selective state space learns it at one length
and answers at thousands of times that length; no other layer goes far beyond twice the length.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from danlu_bench.page import curves
from danlu_bench.studies.claims import Claim, Study, publish
from danlu_bench.studies.tasks import NOTHING, Task, Texts, compare, listed, setting

SYMBOLS, SECONDS = 16, 60.0
MARK = SYMBOLS
TRAINED, TESTED = (8, 16, 32), (32, 64, 128, 256, 512)


def texts(length: int, count: int, seed: int) -> Texts:
    """Symbols by chance, with a mark among them and another at the end."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(count, length + 1, generator=generator)
    ids = (draws[:, :length] * SYMBOLS).long()
    place = (draws[:, length:] * (length - 2)).long()
    ids = ids.scatter(1, place, MARK)
    ids[:, -1] = MARK
    wanted = torch.full_like(ids, NOTHING)
    wanted[:, -1] = ids.gather(1, place + 1)[:, 0]
    return ids, wanted


TASK = Task(
    name="induction-heads", tokens=SYMBOLS + 1, length=max(TRAINED), sizes=TRAINED, draw=texts
)


def run(
    report: Callable[[str], None], *, seconds: float = SECONDS, folder: Path | None = None
) -> dict[str, Any]:
    """Answers of seven layers at 1 to 16 times the length that they learned in equal CPU time."""
    found = compare(report, TASK, TESTED, seconds)
    right = {name: row["accuracy"] for name, row in found.items()}
    near, beyond, far = TESTED[0], TESTED[2], TESTED[-1]
    others = {name: row for name, row in right.items() if name != "mamba2"}
    claims = [
        Claim(text="a selective state space learns it", holds=right["mamba2"][near] > 0.95,
              found=f"mamba2 {right['mamba2'][near]:.1%} at {near} tokens"),
        Claim(text="and answers in far longer texts", holds=right["mamba2"][far] > 0.95,
              found=f"mamba2 {right['mamba2'][far]:.1%} at {far} tokens"),
        Claim(text="attention learns it, but does not go far beyond twice the length",
              found=", ".join(f"{size}: {right['softmax'][size]:.1%}" for size in TESTED),
              holds=right["softmax"][near] > 0.95 and right["softmax"][far] < 0.5),
        Claim(text="nor does any other layer",
              found=f"at {beyond} tokens: "
              + ", ".join(f"{name} {row[beyond]:.1%}" for name, row in others.items()),
              holds=max(row[beyond] for row in others.values()) < 0.95),
    ]  # fmt: skip
    sizes = [float(size) for size in TESTED]
    study = Study(
        name=TASK.name,
        title="Induction heads",
        about=[
            f"Texts of {SYMBOLS} symbols by chance with two marks, the second at the end, where "
            f"the symbol after the first is asked for; {TRAINED[0]} to {near} tokens in training. "
            f"Published: trained at 256 tokens, right up to a million. Chance: {1 / SYMBOLS:.1%}.",
            setting(TASK, seconds),
        ],
        claims=claims,
        tables={"Accuracy": listed(found, "tokens")},
        pictures={
            "length": curves(
                {name: (sizes, [*row.values()]) for name, row in right.items()},
                "tokens",
                "accuracy",
                log=True,
            )
        },
        figures={"found": found},
    )
    return publish(study, report, folder)
