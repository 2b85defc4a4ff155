r"""Recall: which layers find again what stood with a key, at equal parameters and CPU time.

Claimed (arXiv:2312.04927; arXiv:2402.18668): given pairs of keys and values and then some of the
keys, attention answers at any width; layers with a state of fixed size need a wider state for more
pairs, those whose state does not depend on the input nearly fail, and the delta rule recalls most
among recurrent ones.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from danlu_bench.studies.claims import Claim, Study, publish
from danlu_bench.studies.tasks import NOTHING, Task, Texts, compare, listed, setting

RECURRENT = ("linear", "retention", "mamba2", "s4d", "lstm")
KEYS = VALUES = 32
PAIRS, SECONDS = (4, 8, 16), 60.0


def texts(pairs: int, count: int, seed: int) -> Int[Tensor, "count length"]:
    """Key, value, ..., then every key with its value in another order."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(3, count, KEYS, generator=generator)
    keys = draws[0].argsort(1)[:, :pairs]
    values = KEYS + (draws[1][:, :pairs] * VALUES).long()
    order = draws[2][:, :pairs].argsort(1)
    first = torch.stack([keys, values], dim=2).flatten(1)
    again = torch.stack([keys.gather(1, order), values.gather(1, order)], dim=2).flatten(1)
    return torch.cat([first, again], dim=1)


def asked(pairs: int, count: int, seed: int) -> Texts:
    """The texts, and of their second half the value after each key."""
    ids = texts(pairs, count, seed)
    wanted = torch.full_like(ids, NOTHING)
    wanted[:, 2 * pairs :: 2] = ids[:, 2 * pairs + 1 :: 2]
    return ids, wanted


TASK = Task(
    name="recall",
    tokens=KEYS + VALUES,
    length=4 * max(PAIRS),
    sizes=PAIRS,
    draw=asked,
    # At the size of the other tasks even softmax learns little of it in this time.
    parameters=100_000,
    heads=2,
    rate=3e-3,
    batch=64,
)


def run(
    report: Callable[[str], None], *, seconds: float = SECONDS, folder: Path | None = None
) -> dict[str, Any]:
    """How many of 4, 8 and 16 pairs seven layers recall after equal CPU time."""
    found = compare(report, TASK, PAIRS, seconds)
    most = {name: row["accuracy"][PAIRS[-1]] for name, row in found.items()}
    told = ", ".join(f"{name} {value:.0%}" for name, value in most.items())
    claims = [
        Claim(text="attention recalls all pairs", found=f"softmax {most['softmax']:.1%} of 16",
              holds=most["softmax"] > 0.95),
        Claim(text="layers with a state of fixed size recall less", found=told,
              holds=max(most[name] for name in RECURRENT) < most["softmax"]),
        Claim(text="of these the delta rule recalls most",
              found=f"gated-delta {most['gated-delta']:.1%}",
              holds=most["gated-delta"] >= max(most[name] for name in RECURRENT)),
        Claim(text="a state that does not depend on the input nearly fails",
              found=f"s4d {most['s4d']:.1%}, chance {1 / VALUES:.1%}", holds=most["s4d"] < 0.25),
    ]  # fmt: skip
    study = Study(
        name=TASK.name,
        title="Recall of pairs",
        about=[
            f"A text of pairs, key and value out of {KEYS} each, then all keys again in another "
            "order, each followed by its value, which is asked for.",
            setting(TASK, seconds),
        ],
        claims=claims,
        tables={"Accuracy": listed(found, "pairs")},
        pictures={},
        figures={"found": found},
    )
    return publish(study, report, folder)
