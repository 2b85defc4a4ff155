r"""How far back a gradient reaches: the last output by the first input.

Claimed (arXiv:1211.5063; kexue.fm/archives/9554): through a plain recurrent network the gradient
fades exponentially in the distance $n$, gates slow that down; attention spreads it over the tokens,
about $1/n$; linear recurrences that begin near the unit circle keep it over hundreds of steps.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from danlu.backbones.sized import Sizes, mixer_of
from danlu_bench.page import curves
from danlu_bench.studies.claims import Claim, Study, publish

NAMES = ("rnn", "gru", "lstm", "softmax", "linear", "retention", "s4d", "lru", "mamba2", "rwkv4",
         "gated-delta", "hippo-legs")  # fmt: skip
LENGTHS = (4, 8, 16, 32, 64, 128, 256, 512)
DIM, BATCH, SEEDS = 32, 4, 3
FADED = 1e-12


def run(report: Callable[[str], None], *, folder: Path | None = None) -> dict[str, Any]:
    """The gradient of the last output by the first input of a dozen layers as they begin."""
    found = {}
    for name in NAMES:
        found[name] = {n: reach(name, n) for n in LENGTHS}
        report(f"{name}: " + ", ".join(f"{n}: {value:.1e}" for n, value in found[name].items()))
    slopes = {name: slope(row) for name, row in found.items()}
    claims = _claims(found, slopes)
    rows = [
        (name, *(f"{value:.1e}" for value in row.values()), f"{slopes[name]:.2f}")
        for name, row in found.items()
    ]
    shown = {
        name: ([float(n) for n in row], [math.log10(max(value, FADED)) for value in row.values()])
        for name, row in found.items()
        if name in ("rnn", "lstm", "softmax", "retention", "s4d", "lru", "mamba2")
    }
    study = Study(
        name="gradient-reach",
        title="How far back a gradient reaches",
        about=[
            f"One layer of width {DIM} as it begins, standard normal tokens. The figure is the "
            "root mean square of the gradient, by the first token, of a random direction of the "
            f"last output, over {SEEDS} seeds of {BATCH} sequences; beside it the slope of its "
            "logarithm against that of n, from 32 tokens on, where it is no exponential.",
        ],
        claims=claims,
        tables={"Gradient by distance": [("layer", *map(str, LENGTHS), "slope"), *rows]},
        pictures={"reach": curves(shown, "tokens", "gradient, power of 10", log=True)},
        figures={"gradients": found, "slopes": slopes},
    )
    return publish(study, report, folder)


def _claims(found: dict[str, dict[int, float]], slopes: dict[str, float]) -> list[Claim]:
    """What the gradients say."""
    gates = {name: row[LENGTHS[0]] / max(row[64], 1e-300) for name, row in found.items()}
    kept = {name: row[256] / row[LENGTHS[0]] for name, row in found.items()}
    return [
        Claim(
            text="through a plain recurrent network the gradient fades exponentially",
            found=f"from 4 to 64 steps it falls {gates['rnn']:.0e} times",
            holds=gates["rnn"] > 1e6,
        ),
        Claim(
            text="gates slow that down",
            found=f"LSTM {gates['lstm']:.0e} times, GRU {gates['gru']:.0e} times, as they begin",
            holds=max(gates["lstm"], gates["gru"]) < 1e-3 * gates["rnn"],
        ),
        Claim(
            text="attention spreads it over the tokens, about 1/n",
            found=f"softmax n^{slopes['softmax']:.2f}, linear n^{slopes['linear']:.2f}",
            holds=all(abs(slopes[name] + 1) < 0.15 for name in ("softmax", "linear")),
        ),
        Claim(
            text="recurrences that begin near the unit circle keep it over hundreds of steps",
            found=f"after 256 steps LRU has {kept['lru']:.0%} and S4D {kept['s4d']:.0%} of 4 steps",
            holds=min(kept["lru"], kept["s4d"]) > 0.01,
        ),
    ]


def reach(name: str, length: int) -> float:
    """The size of the gradient at a distance."""
    squares = []
    for seed in range(SEEDS):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            layer = mixer_of(name, Sizes(dim=DIM, depth=1, heads=4, length=length)).double()
            x = torch.randn(BATCH, length, DIM, dtype=torch.float64, requires_grad=True)
            direction = torch.randn(BATCH, DIM, dtype=torch.float64)
        (gradient,) = torch.autograd.grad((layer(x)[0][:, -1] * direction).sum(), x)
        squares.append(gradient[:, 0].square().mean().item())
    return math.sqrt(sum(squares) / len(squares))


def slope(row: dict[int, float]) -> float:
    """Of log gradient against log length, from 32 tokens on."""
    points = [(math.log(n), math.log(max(value, 1e-300))) for n, value in row.items() if n >= 32]
    across, up = np.array(points).T
    return float(np.polyfit(across, up, 1)[0])
