"""What a person should hear before training starts: sizes and counts that promise little."""

from collections.abc import Sequence

import numpy as np
import torch

from danlu.contracts import DataDescription
from danlu.data.readable import Converted

LARGE_FOR_CPU = 64
FEW_TRAINING = 500
FEW_HELD_OUT = 1_000
MANY_CLASSES = 1_000
LISTED = 20
RARE, SHOWN = 0.99, 10
LONG, FEWEST, WIDE = 10_000, 100, 1 << 22
"""Rows that are looked at at once, at least so many, and of wide tables so many numbers."""


def silent_columns(x: np.ndarray | Converted) -> list[str]:
    """One line for the columns of a table with one value alone, one for those with hardly another.

    Where more than half of a column are the same, its median is that value; of a long table it is
    sought in a part.
    """
    most = max(FEWEST, min(LONG, WIDE // x.shape[1]))
    some = x[:: -(-len(x) // most)]
    commonest = np.median(some, axis=0)
    shares = (some == commonest).mean(0)
    rare = np.flatnonzero(shares >= RARE)
    blocks = (x[first : first + most] for first in range(0, len(x), most))
    alone = np.all([(part[:, rare] == commonest[rare]).all(0) for part in blocks], axis=0)
    same, rare = rare[alone], rare[~alone]
    lines = []
    if len(same):
        lines.append(
            f"{_columns(same)} of one value alone, counted from 0: nothing can be learned there, "
            "and a density has no limit."
        )
    if len(rare):
        lines.append(
            f"{_columns(rare)} of one value in {RARE:.0%} of the examples or more, counted from "
            "0: a batch may show no other."
        )
    return lines


def _columns(indices: np.ndarray) -> str:
    named = ", ".join(map(str, indices[:SHOWN]))
    rest = f" and {len(indices) - SHOWN} more" if len(indices) > SHOWN else ""
    return f"Column {named} is" if len(indices) == 1 else f"Columns {named}{rest} are"


def cautions(description: DataDescription, training: int, held_out: int) -> list[str]:
    """One line for each fact that limits what this data can show on this machine."""
    lines = []
    size = max(description.shape[1:]) if description.is_image else 0
    if size > LARGE_FOR_CPU and not torch.cuda.is_available():
        lines.append(
            f"Images of {size} pixels promise nothing on a CPU in minutes: "
            f"--size 32 or {LARGE_FOR_CPU} will show more."
        )
    if training < FEW_TRAINING:
        lines.append(
            f"Only {training} training examples: expect models to copy them rather than to "
            f"generalise; {FEW_TRAINING} or more are better."
        )
    if held_out < FEW_HELD_OUT:
        lines.append(
            f"Only {held_out} held-out examples: distances are unreliable below "
            f"{FEW_HELD_OUT:,}; compare them with the floor row only."
        )
    return lines


def counted_classes(names: Sequence[str], counts: Sequence[int]) -> str:
    """The classes with the number of examples of each, all splits together."""
    shown = ", ".join(f"{n} {c:,}" for n, c in zip(names[:LISTED], counts, strict=False))
    more = f", and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return f"{len(names):,} classes: {shown}{more}."
