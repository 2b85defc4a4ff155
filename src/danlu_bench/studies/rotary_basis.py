r"""A trained basis for rotary positions, under softmax and under linear attention.

Claimed (kexue.fm/archives/9403): any rotation by positions is $O e^{m\Lambda} O^\top$, and an
orthogonal $O$ between free query and key maps says nothing new, since it is absorbed by them; where
something stands between, such as the feature map of linear attention, it is not absorbed, and
training $O$ may help.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from danlu.generative.autoregressive.language import build
from danlu_bench.studies.claims import Claim, Study, publish
from danlu_bench.studies.fitting import Effort
from danlu_bench.studies.texts import brown, fit_text, held_out

WINDOW, DIM, DEPTH, HEADS, STEPS, SEEDS = 64, 64, 2, 4, 400, (0, 1)
MIXERS, POSITIONS = ("softmax", "linear"), ("rope", "rope-general")
SMALL = 0.02


def run(
    report: Callable[[str], None], *, steps: int = STEPS, folder: Path | None = None
) -> dict[str, Any]:
    """Character models with fixed and with trained rotations, of two kinds of attention."""
    source = brown(WINDOW)
    found: dict[str, list[float]] = {}
    for mixer in MIXERS:
        for position in POSITIONS:
            name = f"{mixer}, {position}"
            found[name] = []
            for seed in SEEDS:
                with torch.random.fork_rng():
                    torch.manual_seed(seed)
                    model = build(source.description, mixer=mixer, dim=DIM, depth=DEPTH,
                                  heads=HEADS, position=position)  # fmt: skip
                fit_text(model, source, Effort(steps=steps, seed=seed))
                found[name].append(held_out(model, source, "nats_per_token"))
            report(f"{name}: " + ", ".join(f"{value:.4f}" for value in found[name]))
    claims = _claims(found)
    rows = [(name, *(f"{value:.4f}" for value in row)) for name, row in found.items()]
    study = Study(
        name="rotary-basis",
        title="A trained basis for rotary positions",
        about=[
            f"Character models of the Brown corpus (width {DIM}, {DEPTH} layers), {steps} steps on "
            f"windows of {WINDOW}; held-out nats for each character. `rope-general` trains the "
            "orthogonal basis and the angles, and begins with the angles of `rope`.",
        ],
        claims=claims,
        tables={"Nats for each character": [("model", *(f"seed {s}" for s in SEEDS)), *rows]},
        pictures={},
        figures={"nats": found},
    )
    return publish(study, report, folder)


def _claims(found: dict[str, list[float]]) -> list[Claim]:
    """What the gains say."""
    gains = {
        mixer: [
            fixed - trained
            for fixed, trained in zip(
                *(found[f"{mixer}, {position}"] for position in POSITIONS), strict=True
            )
        ]
        for mixer in MIXERS
    }
    told = {mixer: ", ".join(f"{gain:+.4f}" for gain in row) for mixer, row in gains.items()}
    return [
        Claim(
            text="under softmax a trained basis changes little",
            found=f"gains of {told['softmax']} nats by seed",
            holds=max(map(abs, gains["softmax"])) < SMALL,
        ),
        Claim(
            text="under linear attention it may help",
            found=f"gains of {told['linear']} nats by seed",
            holds=min(gains["linear"]) > 0,
        ),
    ]
