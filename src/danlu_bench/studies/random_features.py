r"""A trained softmax model run by random features: Performer swapped in.

Claimed (arXiv:2009.14794 §4.3; kexue.fm/archives/7921): Performer's estimate of the weights is
unbiased and gets better with the number of features; swapped into a trained model it spoils it at
first, and a short fine-tune repairs that; orthogonal features are better than independent ones.
"""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from danlu.contracts import derive_seed
from danlu.generative.autoregressive.language import LanguageModel, build
from danlu.mixers.performer import Performer
from danlu_bench.page import curves
from danlu_bench.studies.claims import Claim, Study, publish
from danlu_bench.studies.fitting import Effort
from danlu_bench.studies.texts import brown, fit_text, held_out

WINDOW, DIM, DEPTH, HEADS, STEPS, TUNED, WINDOWS = 128, 64, 2, 4, 500, 80, 128
DRAWS = 3
FEATURES = (8, 32, 128, 512)
TUNED_FEATURES = 32
NATS = "nats_per_token"


def run(
    report: Callable[[str], None], *, steps: int = STEPS, folder: Path | None = None
) -> dict[str, Any]:
    """Held-out nats of one trained model under softmax and under more and more features."""
    source = brown(WINDOW)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(source.description, dim=DIM, depth=DEPTH, heads=HEADS, position="sinusoidal")
    fit_text(model, source, Effort(steps=steps))
    exact = held_out(model, source, NATS, windows=WINDOWS)
    swapped, independent = {}, {}
    for count in FEATURES:
        for kind, row in ((True, swapped), (False, independent)):
            drawn = (performer(model, count, orthogonal=kind, seed=seed) for seed in range(DRAWS))
            row[count] = mean(held_out(m, source, NATS, windows=WINDOWS) for m in drawn)
        report(f"{count} features: {swapped[count]:.3f}, independent {independent[count]:.3f}")
    tuned = performer(model, TUNED_FEATURES)
    fit_text(tuned, source, Effort(steps=TUNED, rate=5e-4, seed=1))
    repaired = held_out(tuned, source, NATS, windows=WINDOWS)
    claims = _claims(exact, swapped, independent, repaired)
    rows = [
        (str(n), f"{swapped[n]:.4f}", f"{independent[n]:.4f}", f"{swapped[n] - exact:+.4f}")
        for n in FEATURES
    ]
    counts = [float(n) for n in FEATURES]
    shown = {
        "orthogonal": (counts, [*swapped.values()]),
        "independent": (counts, [*independent.values()]),
        "softmax": (counts, [exact] * len(counts)),
    }
    study = Study(
        name="random-features",
        title="Random features in a trained model",
        about=[
            f"A character model of the Brown corpus (width {DIM}, {DEPTH} layers, heads of "
            f"{DIM // HEADS}) is trained with softmax attention for {steps} steps on windows of "
            f"{WINDOW}; then Performer takes its weights. Nats for each character of {WINDOWS} "
            f"held-out windows, means of {DRAWS} draws of the features; softmax has {exact:.4f}.",
        ],
        claims=claims,
        tables={"By number": [("features", "orthogonal", "independent", "cost"), *rows]},
        pictures={"features": curves(shown, "features", "nats per character", log=True)},
        figures={
            "exact": exact,
            "orthogonal": swapped,
            "independent": independent,
            "tuned": repaired,
        },
    )
    return publish(study, report, folder)


def _claims(
    exact: float, swapped: dict[int, float], independent: dict[int, float], repaired: float
) -> list[Claim]:
    """What the losses say."""
    lost, left = swapped[TUNED_FEATURES] - exact, repaired - exact
    better = sum(swapped[n] < independent[n] for n in FEATURES)
    return [
        Claim(
            text="more features come nearer to softmax",
            found=", ".join(f"{n}: +{swapped[n] - exact:.3f}" for n in FEATURES),
            holds=swapped[FEATURES[0]] > swapped[FEATURES[1]] > swapped[FEATURES[-1]],
        ),
        Claim(
            text="swapped in, few features spoil a trained model",
            found=f"{TUNED_FEATURES} features cost {lost:.3f} of {exact:.3f} nats",
            holds=lost > 0.02,
        ),
        Claim(
            text="a short fine-tune repairs that",
            found=f"after {TUNED} steps {left:+.3f} is left",
            holds=left < 0.5 * lost,
        ),
        Claim(
            text="orthogonal features are better than independent ones",
            found=f"in {better} of {len(FEATURES)} numbers of features",
            holds=better == len(FEATURES),
        ),
    ]


def performer(
    model: LanguageModel, features: int, *, orthogonal: bool = True, seed: int = 0
) -> LanguageModel:
    """The same weights under random features."""
    made = deepcopy(model)
    for index, layer in enumerate(made.stack.layers):
        if not hasattr(layer, "query"):
            continue
        swapped = Performer(DIM, heads=HEADS, features=features)
        weights = {**swapped.state_dict(), **layer.state_dict()}
        swapped.load_state_dict(weights)
        own = derive_seed(seed, "features", index)
        swapped.redraw(own)
        if not orthogonal:
            generator = torch.Generator().manual_seed(own)
            swapped.projection.copy_(torch.randn(swapped.projection.shape, generator=generator))
        made.stack.layers[index] = swapped
    return made
