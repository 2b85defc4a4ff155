"""Small tasks on ids: seven layers at equal parameters, trained alike in equal CPU time.

A task draws texts and says what follows where: `wanted` is the id that is asked for after each
token, or `NOTHING`. Stacks see the past alone, so padding on the right changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from danlu.backbones.named import StackOptions, stack_of
from danlu.backbones.sized import Sizes
from danlu.contracts import derive_seed
from danlu_bench.studies.fitting import Effort, count, fit, sized

LAYERS = ("softmax", "linear", "retention", "mamba2", "gated-delta", "s4d", "lstm")
PARAMETERS, WIDTHS, DEPTH, HEADS, BATCH, TESTS = 40_000, range(16, 97, 8), 2, 4, 32, 512
RATE, NOTHING = 5e-3, -100

Texts = tuple[Int[Tensor, "count length"], Int[Tensor, "count length"]]
"""Ids, and what is wanted after each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What is learned.

    Attributes:
        name: of its seeds.
        tokens: number of ids.
        length: of the longest text in training.
        sizes: of the texts in training, which take turns.
        draw: texts of a size: `draw(size, count, seed)`.
        parameters: of every layer's stack.
        heads: of the layers that have heads.
        rate: of AdamW.
        batch: texts of a step, as many as for all tasks unless given.
    """

    name: str
    tokens: int
    length: int
    sizes: Sequence[int]
    draw: Callable[[int, int, int], Texts]
    parameters: int = PARAMETERS
    heads: int = HEADS
    rate: float = RATE
    batch: int | None = None


class Reader(nn.Module):
    """A stack over ids that says what follows.

    Args:
        mixer: a row of `MIXERS` that sees the past alone.
        tokens: number of ids.
        sizes: of the stack.
    """

    def __init__(self, mixer: str, tokens: int, sizes: Sizes) -> None:
        super().__init__()
        self.tokens = nn.Embedding(tokens, sizes.dim)
        self.stack = stack_of(sizes, StackOptions(mixer=mixer))
        self.logits = nn.Linear(sizes.dim, tokens)

    def forward(
        self, ids: Int[Tensor, "batch length"], wanted: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "asked tokens"]:
        """What is said where something is asked."""
        return self.logits(self.stack(self.tokens(ids))[0][wanted != NOTHING])


def learn(mixer: str, task: Task, effort: Effort) -> tuple[Reader, dict[str, float]]:
    """A stack of a layer that has learned a task, and what that took."""

    def made(dim: int) -> Reader:
        sizes = Sizes(dim=dim, depth=DEPTH, heads=task.heads, length=task.length)
        return Reader(mixer, task.tokens, sizes)

    model = sized(made, WIDTHS, task.parameters)

    def loss(step: int) -> Tensor:
        size = task.sizes[step % len(task.sizes)]
        texts = task.batch or BATCH
        ids, wanted = task.draw(size, texts, derive_seed(effort.seed, task.name, step))
        return cross_entropy(model(ids, wanted), wanted[wanted != NOTHING])

    steps, seconds = fit(model, loss, effort)
    took = {"parameters": count(model), "width": model.stack.dim, "steps": steps}
    return model, {**{key: float(n) for key, n in took.items()}, "seconds": seconds}


@torch.no_grad()
def accuracy(model: Reader, task: Task, size: int) -> float:
    """The share of right answers in new texts."""
    right = []
    for part in range(TESTS // BATCH):
        ids, wanted = task.draw(size, BATCH, derive_seed(1, task.name, f"{size}, {part}"))
        right.append(model(ids, wanted).argmax(1) == wanted[wanted != NOTHING])
    return torch.cat(right).double().mean().item()


def compare(
    report: Callable[[str], None], task: Task, sizes: Sequence[int], seconds: float
) -> dict[str, dict[str, Any]]:
    """What each layer answers right in texts of some sizes after so many CPU seconds."""
    found: dict[str, dict[str, Any]] = {}
    for name in LAYERS:
        model, took = learn(name, task, Effort(steps=10**6, seconds=seconds, rate=task.rate))
        right = {size: accuracy(model, task, size) for size in sizes}
        found[name] = {"accuracy": right, **took}
        told = ", ".join(f"{size}: {value:.1%}" for size, value in right.items())
        report(f"{name}, {took['steps']:.0f} steps: {told}")
    return found


def setting(task: Task, seconds: float) -> str:
    """What is the same for all."""
    return (
        f"Stacks of {DEPTH} layers that see the past alone, at the width nearest "
        f"{task.parameters:,} parameters, train for {seconds:.0f} CPU seconds of one thread on "
        f"batches of {task.batch or BATCH}, from one seed and at one rate. The figure is the share "
        f"of right answers in {TESTS} new texts."
    )


def listed(found: dict[str, dict[str, Any]], unit: str) -> list[tuple[str, ...]]:
    """The table of what `compare` found."""
    sizes = next(iter(found.values()))["accuracy"]
    rows = [
        (name, *(f"{value:.1%}" for value in row["accuracy"].values()),
         f"{row['parameters']:,.0f}", f"{row['steps']:,.0f}")
        for name, row in found.items()
    ]  # fmt: skip
    return [("layer", *(f"{size} {unit}" for size in sizes), "parameters", "steps"), *rows]
