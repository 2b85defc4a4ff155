r"""List operations: the value of nested expressions, read as a text.

Claimed (arXiv:2011.04006 table 1; arXiv:2111.00396 table 4): nested lists of MAX, MIN, MED and SUM
modulo 10 are hard for all layers; softmax attention (36 % right) is far better than linear
attention (16 %), and state spaces (S4: 60 %) are far better than both.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import torch

from danlu.contracts import derive_seed
from danlu_bench.studies.claims import Claim, Study, publish
from danlu_bench.studies.tasks import NOTHING, Task, Texts, compare, listed, setting

SECONDS = 60.0
DIGITS, COUNTED = 10, 4096
OPERATIONS: tuple[Callable[[list[int]], int], ...] = (
    max,
    min,
    lambda values: int(median(values)),
    lambda values: sum(values) % DIGITS,
)
"""Maximum, minimum, median (of an even number the mean of the middle two, rounded down), sum."""
CLOSE, PADDING = DIGITS + len(OPERATIONS), DIGITS + len(OPERATIONS) + 1
LENGTHS, DEEPEST, MOST, NESTED = (8, 16, 32), 5, 5, 0.3
"""Longest expressions in training; depth, arguments, and how often an argument is a list."""


def expression(random: Random, depth: int = 1) -> tuple[list[int], int]:
    """The tokens of a list with an operation, and its value."""
    operation = random.randrange(len(OPERATIONS))
    tokens, values = [DIGITS + operation], []
    for _ in range(random.randint(2, MOST)):
        if depth < DEEPEST and random.random() < NESTED:
            inner, value = expression(random, depth + 1)
        else:
            value = random.randrange(DIGITS)
            inner = [value]
        tokens += inner
        values.append(value)
    return [*tokens, CLOSE], OPERATIONS[operation](values)


def texts(longest: int, count: int, seed: int) -> Texts:
    """Expressions of up to the longest length and more than half of it; the value is asked."""
    random = Random(seed)
    ids = torch.full((count, longest), PADDING)
    wanted = torch.full_like(ids, NOTHING)
    for row in range(count):
        tokens, value = expression(random)
        while not longest // 2 < len(tokens) <= longest:
            tokens, value = expression(random)
        ids[row, : len(tokens)] = torch.tensor(tokens)
        wanted[row, len(tokens) - 1] = value
    return ids, wanted


TASK = Task(
    name="list-operations", tokens=PADDING + 1, length=max(LENGTHS), sizes=LENGTHS, draw=texts
)


def by_first(longest: int) -> float:
    """What the outermost operation tells: the share of its commonest value, over all four."""
    ids, wanted = texts(longest, COUNTED, derive_seed(0, "first", longest))
    pairs = Counter(zip(ids[:, 0].tolist(), wanted.max(1).values.tolist(), strict=True))
    firsts = {first for first, _ in pairs}
    best = (max(n for (first, _), n in pairs.items() if first == each) for each in firsts)
    return sum(best) / COUNTED


def run(
    report: Callable[[str], None], *, seconds: float = SECONDS, folder: Path | None = None
) -> dict[str, Any]:
    """How many nested expressions seven layers evaluate right after equal CPU time."""
    found = compare(report, TASK, LENGTHS, seconds)
    right = {name: row["accuracy"][LENGTHS[-1]] for name, row in found.items()}
    floor = {longest: by_first(longest) for longest in LENGTHS}
    best = max(right, key=right.__getitem__)
    claims = [
        Claim(text="softmax attention is better than linear attention",
              found=f"{right['softmax']:.1%} against {right['linear']:.1%}",
              holds=right["softmax"] > right["linear"] + 0.02),
        Claim(text="a state space is better than both", found=f"s4d {right['s4d']:.1%}",
              holds=right["s4d"] > max(right["softmax"], right["linear"]) + 0.02),
        Claim(text="no layer comes near all of them", holds=right[best] < 0.9,
              found=f"{best} {right[best]:.1%}; the outermost operation alone tells "
              f"{floor[LENGTHS[-1]]:.1%}"),
    ]  # fmt: skip
    rows = listed(found, "tokens")
    told = ("outermost operation", *(f"{value:.1%}" for value in floor.values()), "", "")
    study = Study(
        name=TASK.name,
        title="List operations",
        about=[
            f"Expressions of our own: lists of 2 to {MOST} digits or lists, up to {DEEPEST} deep, "
            "under the largest, the smallest, the median or the sum modulo 10, of more than half "
            f"of {', '.join(map(str, LENGTHS))} tokens. The value is asked for after the last "
            "bracket. Published are 500 to 2,000 tokens, up to ten deep. The last row is what the "
            "outermost operation tells alone, by its commonest value.",
            setting(TASK, seconds),
        ],
        claims=claims,
        tables={"Accuracy": [*rows, told]},
        pictures={},
        figures={"found": found, "outermost operation": floor},
    )
    return publish(study, report, folder)
