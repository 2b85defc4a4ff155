r"""HiPPO: a signal of any length in 8 to 64 numbers.

Claimed (arXiv:2008.07669; kexue.fm/archives/10114): LegS keeps all of the past, each part with the
same relative detail, so that stretching time changes nothing; the error falls as numbers are added;
LegT keeps its window alone, but keeps that better. arXiv:2206.12037: waves keep a window as well
(S4-FouT), where its ends meet.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.mixers.hippo_fourier import HippoFourier
from danlu.mixers.hippo_legs import HippoLegS
from danlu.mixers.hippo_legt import HippoLegT
from danlu_bench.page import curves
from danlu_bench.studies.claims import Claim, Study, publish

LENGTH, WINDOW, WAVES, SIGNALS = 1024, 256, 8, 16
STATES = (8, 16, 32, 64)


def run(report: Callable[[str], None], *, folder: Path | None = None) -> dict[str, Any]:
    """Reconstruct band-limited signals from LegS and LegT, at all sizes and when time stretches."""
    found: dict[str, dict[int, float]] = {
        "LegS, all of the past": {},
        "LegS, last quarter": {},
        "LegT, last quarter": {},
        "Fourier, last quarter": {},
        "Fourier, periodic window": {},
        "LegS, time stretched twice": {},
        "LegT, window 256 of 2048": {},
    }
    x, slow = signals(LENGTH), signals(2 * LENGTH)
    periodic = x[:, :: LENGTH // WINDOW].repeat(1, LENGTH // WINDOW, 1)
    for states in STATES:
        legs = HippoLegS(SIGNALS, states=states).double()
        legt = HippoLegT(SIGNALS, states=states, window=float(WINDOW)).double()
        waves = HippoFourier(SIGNALS, states=states - 1, window=float(WINDOW)).double()
        found["Fourier, last quarter"][states] = error(waves, x, WINDOW, WINDOW)
        found["Fourier, periodic window"][states] = error(waves, periodic, WINDOW, WINDOW)
        found["LegS, all of the past"][states] = error(legs, x, LENGTH, LENGTH)
        found["LegS, last quarter"][states] = error(legs, x, LENGTH, WINDOW)
        found["LegT, last quarter"][states] = error(legt, x, WINDOW, WINDOW)
        found["LegS, time stretched twice"][states] = error(legs, slow, 2 * LENGTH, 2 * LENGTH)
        found["LegT, window 256 of 2048"][states] = error(legt, slow, WINDOW, WINDOW)
    claims = _claims(found)
    names = [f"{n} numbers" for n in STATES]
    rows = [(key, *(f"{row[n]:.2%}" for n in STATES)) for key, row in found.items()]
    study = Study(
        name="hippo-memory",
        title="HiPPO: the past in a few numbers",
        about=[
            f"{SIGNALS} sums of {WAVES} random waves of up to {WAVES} periods in {LENGTH} tokens "
            "are read by the layer once; the past is then drawn from its last coefficients. Errors "
            "are root mean squares relative to the signal. Fourier windows have one number less.",
        ],
        claims=claims,
        tables={"Error of the reconstruction": [("what is drawn", *names), *rows]},
        pictures={
            "error": curves(_lines(found), "numbers for each signal", "relative error", log=True)
        },
        figures={"errors": found},
    )
    return publish(study, report, folder)


def _claims(found: dict[str, dict[int, float]]) -> list[Claim]:
    """What the errors say."""
    whole, near = found["LegS, all of the past"], found["LegS, last quarter"]
    window, stretched = found["LegT, last quarter"], found["LegS, time stretched twice"]
    largest = max(abs(stretched[n] - whole[n]) for n in STATES)
    return [
        Claim(
            text="LegS remembers all of the past, the better the more numbers it has",
            found=", ".join(f"{n}: {whole[n]:.1%}" for n in STATES),
            holds=all(whole[2 * n] < whole[n] for n in STATES[:-1]),
        ),
        Claim(
            text="stretching time changes nothing for LegS",
            found=f"errors change by {largest:.2%} of the signal at most",
            holds=largest < 0.01,
        ),
        Claim(
            text="inside its window LegT remembers more than LegS",
            found=", ".join(f"{n}: {window[n]:.1%} against {near[n]:.1%}" for n in STATES),
            holds=all(window[n] < near[n] for n in STATES),
        ),
    ]


def signals(length: int) -> Float[Tensor, "1 length signals"]:
    """Sums of waves over the whole length, of mean square 1."""
    generator = torch.Generator().manual_seed(0)
    shape = (WAVES, SIGNALS)
    size, phase = (torch.rand(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    time = (torch.arange(length, dtype=torch.float64) + 0.5) / length
    periods = torch.arange(1, WAVES + 1, dtype=torch.float64)
    waves = torch.sin(2 * torch.pi * (time[:, None, None] * periods[:, None] + phase)) * size
    x = waves.sum(1)
    return (x / x.square().mean(0).sqrt())[None]


def error(layer: Any, x: Float[Tensor, "1 length signals"], kept: int, last: int) -> float:
    """Of the last tokens, drawn from coefficients that stand for `kept` tokens."""
    with torch.no_grad():
        c = layer.coefficients(x)[1]
        points = (torch.arange(kept - last, kept, dtype=x.dtype) + 0.5) / kept
        difference = layer.reconstruct(c, points) - x[:, -last:]
    return (difference.square().mean() / x[:, -last:].square().mean()).sqrt().item()


def _lines(found: dict[str, dict[int, float]]) -> dict[str, tuple[list[float], list[float]]]:
    return {name: ([float(n) for n in row], [*row.values()]) for name, row in found.items()}
