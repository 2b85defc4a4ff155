r"""What twice the length costs every mixer, in time and in memory.

Claimed: a layer whose state has a bounded size takes time and memory proportional to the length of
a sequence (arXiv:2006.16236 §3.2, arXiv:2307.08621 §2.3, arXiv:2312.00752 §3.3), attention takes
time proportional to its square, and exact attention needs no memory of that size
(arXiv:2112.05682; fused kernels do what it says).
"""

import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import Tensor

from danlu.backbones.sized import Sizes, mixer_of, reads_memory
from danlu.contracts import SequenceContext
from danlu.evaluation.canvas import Figure
from danlu.mixers import MIXERS, Mixer
from danlu_bench.memory import allocated
from danlu_bench.page import curves
from danlu_bench.studies.claims import Claim, Study, publish

LENGTHS = (512, 1024, 2048, 4096)
DIM, HEADS, WINDOW = 64, 4, 256
ROUNDS, SECONDS = 5, 2.0
"""The most runs at a length, and the CPU seconds after which no other one starts."""
POINTWISE = ("feed-forward", "rwkv-channels")
"""Rows that mix no tokens."""
SHOWN = (
    "softmax", "gau", "reformer", "linear", "retention", "mamba2", "gated-delta", "mamba", "s4d",
    "lstm",
)  # fmt: skip
LINEAR, QUADRATIC = 1.15, 1.5
"""A slope up to the first is called linear; one from the second on comes near the square."""
FUSED = ("softmax", "grouped-query", "bidirectional", "cross-attention")
FULL = (*FUSED, "gau", "gau-softmax", "gau-bidirectional")
"""Rows in which every token meets all others, or all before it."""

Row = dict[str, list[float]]


def run(
    report: Callable[[str], None],
    *,
    lengths: Sequence[int] = LENGTHS,
    names: Sequence[str] | None = None,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Time and memory of every mixer at four lengths, forward and backward, and fitted slopes."""
    found: dict[str, Row] = {}
    for name in names or [name for name in MIXERS if name not in POINTWISE]:
        measured = [_measured(name, length) for length in lengths]
        found[name] = {
            "milliseconds": [1e3 * seconds for seconds, _ in measured],
            "mebibytes": [held for _, held in measured],
        }
        found[name]["slopes"] = [slope(lengths, each) for each in list(found[name].values())]
        report(f"{name}: {_cells(found[name])}")
    return publish(_study(found, lengths), report, folder)


def _measured(name: str, length: int) -> tuple[float, float]:
    """CPU seconds of forward and backward, and the MiB that they hold at most."""
    torch.manual_seed(0)
    given = {"window": WINDOW} if name == "sliding-window" else {}
    sizes = Sizes(dim=DIM, depth=1, heads=HEADS, length=length)
    mixer = mixer_of(name, sizes, given=given)
    x = torch.randn(1, length, DIM, requires_grad=True)
    context = SequenceContext()
    if reads_memory(name):
        context = SequenceContext(memory=(torch.randn(1, length, DIM), SequenceContext()))

    def step() -> None:
        _backward(mixer, x, context)

    step()  # what the first run pays is paid once
    seconds: list[float] = []
    while len(seconds) < ROUNDS and sum(seconds) < SECONDS:
        began = process_time()
        step()
        seconds.append(process_time() - began)
    return statistics.median(seconds), max(allocated(step)[1])


def _backward(mixer: Mixer, x: Tensor, context: SequenceContext) -> None:
    mixer(x, context)[0].square().mean().backward()
    mixer.zero_grad(set_to_none=True)
    x.grad = None


def slope(lengths: Sequence[int], figures: Sequence[float]) -> float:
    """The power of the length by which figures grow, fitted to the longest three."""
    pairs = list(zip(lengths, figures, strict=True))[-3:]
    across = [math.log(length) for length, _ in pairs]
    up = [math.log(max(figure, 1e-9)) for _, figure in pairs]
    return statistics.linear_regression(across, up).slope


def _bounded(name: str) -> bool:
    """Whether a row has a state whose size has a bound; that of a memory is the memory's."""
    mixer = mixer_of(name, Sizes(dim=DIM, depth=1, heads=HEADS, length=LENGTHS[0]))
    return mixer.causal and mixer.bounded and not reads_memory(name)


def _claims(found: dict[str, Row]) -> list[Claim]:
    bounded = [name for name in found if _bounded(name)]
    full, fused = ([name for name in names if name in found] for names in (FULL, FUSED))
    return [
        Claim(
            text="layers with a bounded state take time proportional to the length",
            found=_beyond(found, bounded, 0),
            holds=all(found[name]["slopes"][0] <= LINEAR for name in bounded),
        ),
        Claim(
            text="and memory",
            found=_beyond(found, bounded, 1),
            holds=all(found[name]["slopes"][1] <= LINEAR for name in bounded),
        ),
        Claim(
            text="the time of full attention comes near the square of the length",
            found=_named(found, full, 0),
            holds=all(found[name]["slopes"][0] >= QUADRATIC for name in full),
        ),
        Claim(
            text="its memory does not, where the weights are never stored",
            found=_named(found, fused, 1),
            holds=all(found[name]["slopes"][1] <= LINEAR for name in fused),
        ),
    ]


def _named(found: dict[str, Row], names: Sequence[str], figure: int) -> str:
    return ", ".join(f"{name} {found[name]['slopes'][figure]:.2f}" for name in names)


def _beyond(found: dict[str, Row], names: Sequence[str], figure: int) -> str:
    """How many grow as the length, and which grow more."""
    more = [name for name in names if found[name]["slopes"][figure] > LINEAR]
    told = f"{len(names) - len(more)} of {len(names)} to at most its power {LINEAR}"
    return f"{told}; {_named(found, more, figure)}" if more else told


def _cells(row: Row) -> list[str]:
    time, memory = row["slopes"]
    return [
        *(f"{each:.1f}" for each in row["milliseconds"]), f"{time:.2f}",
        *(f"{each:.1f}" for each in row["mebibytes"]), f"{memory:.2f}",
    ]  # fmt: skip


def _study(found: dict[str, Row], lengths: Sequence[int]) -> Study:
    shown = [name for name in SHOWN if name in found]
    tokens = [float(length) for length in lengths]

    def picture(figure: str, up: str) -> Figure:
        lines = {name: (tokens, found[name][figure]) for name in shown}
        drawn = curves(lines, "tokens", up, log=True)
        drawn.axes[0].set_yscale("log")
        return drawn

    return Study(
        name="mixer-lengths",
        title="What twice the length costs",
        about=[
            f"Every mixer at width {DIM} with {HEADS} heads, one sequence, forward and backward; "
            f"the window of sliding-window is {WINDOW}. Milliseconds are medians of CPU time of "
            f"one thread; MiB are the most that torch's allocator holds at once. A slope is the "
            f"power of the length, fitted from {lengths[-min(3, len(lengths))]:,} tokens on.",
        ],
        claims=_claims(found),
        tables={
            "Milliseconds and MiB": [
                (
                    "mixer", *(f"ms at {length:,}" for length in lengths), "slope",
                    *(f"MiB at {length:,}" for length in lengths), "slope",
                ),
                *((name, *_cells(row)) for name, row in found.items()),
            ]
        },
        pictures={
            "time": picture("milliseconds", "ms, forward and backward"),
            "memory": picture("mebibytes", "MiB held at most"),
        },
        figures={"found": found},
    )  # fmt: skip
