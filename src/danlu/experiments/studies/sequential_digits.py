r"""Digits read pixel by pixel, by stacks of different mixers.

Claimed (arXiv:1504.00941; arXiv:2111.00396 §4): pixels in a row are a test of what a layer keeps;
transformers and state spaces pass it, and plain recurrent networks fall behind; in a fixed random
order, where neighbours say nothing, all do worse. Published are 28 x 28 pixels; here are 8 x 8.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from danlu.backbones.classifier import SequenceClassifier, accuracy
from danlu.backbones.named import StackOptions, stack_of
from danlu.backbones.sized import Sizes
from danlu.data import ExampleStream, Source, open_source
from danlu.experiments.studies.claims import Claim, Study, publish
from danlu.experiments.studies.fitting import Effort, count, fit

NAMES = ("softmax", "bidirectional", "linear", "retention", "mamba2", "gated-delta", "s4d", "lru",
         "lstm", "rnn")  # fmt: skip
TWO_SIDED = ("bidirectional",)
DIM, DEPTH, HEADS, BATCH, SECONDS = 64, 2, 4, 64, 20.0


def run(
    report: Callable[[str], None], *, seconds: float = SECONDS, folder: Path | None = None
) -> dict[str, Any]:
    """Test accuracy of ten mixers on digits as rows of 64 numbers, in order and permuted."""
    source = open_source("digits")
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    found: dict[str, dict[str, float]] = {}
    for name in NAMES:
        made = partial(_made, name, source)
        effort = Effort(steps=10**6, seconds=seconds)
        ordered, took = trained(made(), source, lambda x: x.flatten(1)[..., None], effort)
        permuted, _ = trained(made(), source, lambda x: x.flatten(1)[:, order, None], effort)
        found[name] = {"in order": ordered, "permuted": permuted, **took}
        report(f"{name}: {ordered:.2%} in order, {permuted:.2%} permuted")
    rnn, others = found["rnn"], [found[name] for name in NAMES if name != "rnn"]
    least = min(row["in order"] for row in others)
    harder = sum(row["permuted"] < row["in order"] for row in found.values())
    claims = [
        Claim(text="transformers, state spaces and gated networks pass",
              found=f"the least of the others has {least:.1%}", holds=least > 0.9),
        Claim(text="a plain recurrent network falls behind all of them",
              found=f"{rnn['in order']:.1%} in order", holds=rnn["in order"] < least),
        Claim(text="a random order is harder", found=f"for {harder} of {len(NAMES)}",
              holds=harder > len(NAMES) / 2),
    ]  # fmt: skip
    rows = [
        (name, f"{row['in order']:.2%}", f"{row['permuted']:.2%}", f"{row['parameters']:,.0f}",
         f"{row['steps']:,.0f}")
        for name, row in found.items()
    ]  # fmt: skip
    study = Study(
        name="sequential-digits",
        title="Digits, pixel by pixel",
        about=[
            f"The {len(source.test)} test digits of scikit-learn as rows of 64 numbers. Stacks of "
            f"{DEPTH} blocks of width {DIM} with the encoding of `auto`, their outputs averaged, "
            f"train for {seconds:.0f} CPU seconds of one thread on batches of {BATCH} of "
            f"{len(source.training):,} digits, from one seed; the rate was not tuned. A "
            "difference below one percent is two or three digits.",
        ],
        claims=claims,
        tables={"Test accuracy": [("mixer", "in order", "permuted", "parameters", "steps"), *rows]},
        pictures={},
        figures={"accuracy": found},
    )
    return publish(study, report, folder)


def _made(name: str, source: Source) -> SequenceClassifier:
    sizes = Sizes(dim=DIM, depth=DEPTH, heads=HEADS, length=64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        stack = stack_of(sizes, StackOptions(mixer=name, causal=name not in TWO_SIDED))
        return SequenceClassifier(nn.Linear(1, DIM), stack, source.description.classes)


def trained(
    model: SequenceClassifier,
    source: Source,
    rows: Callable[[Tensor], Tensor],
    effort: Effort,
    *,
    batch: int = BATCH,
    tests: int | None = None,
) -> tuple[float, dict[str, float]]:
    """Test accuracy after training, and what that took.

    Args:
        model: a classifier of sequences, trained in place.
        source: images with classes.
        rows: images as sequences of pixels, `[batch, length, 1]`.
        effort: how long.
        batch: images of a step.
        tests: test images, the first of them; all unless given.
    """
    stream = ExampleStream(source.training, source.description, batch=batch, seed=effort.seed)

    def loss(step: int) -> Tensor:
        drawn = next(stream)
        assert drawn.condition is not None
        return cross_entropy(model(rows(drawn.x)), drawn.condition)

    steps, seconds = fit(model, loss, effort)
    first = torch.arange(len(source.test))[:tests]
    classes = source.test.classes(first)
    assert classes is not None
    right = accuracy(model, rows(source.test.x(first)), classes)
    took = {"parameters": float(count(model)), "steps": float(steps), "seconds": seconds}
    return right, took
