r"""Clothes read pixel by pixel, at equal parameters and CPU time.

Claimed (arXiv:2111.00396 §4.2 and table 5): on images as rows of single pixels state spaces come
before transformers (91 % against 62 % in colour) and before gated networks, and all of them before
a plain recurrent network. Published are up to 1,024 pixels; here are 14 x 14, each the mean of
four, since 784 would leave too few steps in minutes.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy

from danlu.backbones.classifier import SequenceClassifier, accuracy
from danlu.backbones.named import StackOptions, stack_of
from danlu.backbones.sized import Sizes
from danlu.data import ExampleStream, Source, open_source
from danlu_bench.studies.claims import Claim, Study, publish
from danlu_bench.studies.fitting import Effort, count, fit, sized
from danlu_bench.studies.tasks import DEPTH, HEADS, LAYERS, PARAMETERS, WIDTHS

NAMES = (*LAYERS, "rnn")
DATA, BATCH, TESTS, SECONDS, RATE = "fashion-mnist", 32, 4000, 60.0, 4e-3


def run(
    report: Callable[[str], None],
    *,
    seconds: float = SECONDS,
    data: str = DATA,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Test accuracy of eight layers on images of clothes as rows of 196 numbers."""
    source = open_source(data)
    length = source.description.dims // 4
    found: dict[str, dict[str, float]] = {}
    for name in NAMES:
        made = partial(_made, name, length, source.description.classes)
        model = sized(made, WIDTHS, PARAMETERS)
        effort = Effort(steps=10**6, seconds=seconds, rate=RATE)
        right, took = trained(model, source, pixels, effort, batch=BATCH, tests=TESTS)
        found[name] = {"accuracy": right, **took}
        report(f"{name}, {took['steps']:.0f} steps: {right:.2%}")
    return publish(_study(found, length, seconds), report, folder)


def pixels(x: Tensor) -> Tensor:
    """Images as rows of means of four pixels, `[batch, length, 1]`."""
    return avg_pool2d(x, 2).flatten(1)[..., None]


def _made(name: str, length: int, classes: int, dim: int) -> SequenceClassifier:
    sizes = Sizes(dim=dim, depth=DEPTH, heads=HEADS, length=length)
    stack = stack_of(sizes, StackOptions(mixer=name))
    return SequenceClassifier(nn.Linear(1, dim), stack, classes)


def trained(
    model: SequenceClassifier,
    source: Source,
    rows: Callable[[Tensor], Tensor],
    effort: Effort,
    *,
    batch: int,
    tests: int,
) -> tuple[float, dict[str, float]]:
    """Test accuracy after training, and what that took.

    Args:
        model: a classifier of sequences, trained in place.
        source: images with classes.
        rows: images as sequences of pixels, `[batch, length, 1]`.
        effort: how long.
        batch: images of a step.
        tests: test images, the first of them.
    """
    stream = ExampleStream(source.training, source.description, batch=batch, seed=effort.seed)

    def loss(step: int) -> Tensor:
        drawn = next(stream)
        assert drawn.condition is not None
        assert drawn.condition.ids is not None
        return cross_entropy(model(rows(drawn.x)), drawn.condition.ids)

    steps, seconds = fit(model, loss, effort)
    first = torch.arange(len(source.test))[:tests]
    classes = source.test.classes(first)
    assert classes is not None
    right = accuracy(model, rows(source.test.x(first)), classes)
    took = {"parameters": float(count(model)), "steps": float(steps), "seconds": seconds}
    return right, took


def _study(found: dict[str, dict[str, float]], length: int, seconds: float) -> Study:
    right = {name: row["accuracy"] for name, row in found.items()}
    order = sorted(right, key=right.__getitem__, reverse=True)
    claims = [
        Claim(text="a state space comes before softmax attention",
              found=f"s4d {right['s4d']:.1%} against {right['softmax']:.1%}",
              holds=right["s4d"] > right["softmax"] + 0.01),
        Claim(text="and before a gated network", found=f"lstm {right['lstm']:.1%}",
              holds=right["s4d"] > right["lstm"] + 0.01),
        Claim(text="a plain recurrent network falls behind all",
              found=", ".join(f"{name} {right[name]:.1%}" for name in order),
              holds=order[-1] == "rnn" and right["rnn"] < right[order[-2]] - 0.01),
    ]  # fmt: skip
    rows = [
        (name, f"{row['accuracy']:.2%}", f"{row['parameters']:,.0f}", f"{row['steps']:,.0f}")
        for name, row in found.items()
    ]
    return Study(
        name="sequential-fashion",
        title="Clothes, pixel by pixel",
        about=[
            f"Fashion-MNIST as rows of {length} numbers, each the mean of four pixels. Stacks of "
            f"{DEPTH} layers that see the past alone, at the width nearest {PARAMETERS:,} "
            f"parameters, their outputs averaged, train for {seconds:.0f} CPU seconds of one "
            f"thread on batches of {BATCH}, from one seed and at one rate; accuracy on the first "
            f"{TESTS:,} test images, where one percent is two standard errors.",
        ],
        claims=claims,
        tables={"Test accuracy": [("layer", "accuracy", "parameters", "steps"), *rows]},
        pictures={},
        figures={"found": found},
    )
