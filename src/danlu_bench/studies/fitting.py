"""Short, seeded training of small models, the same for every arm of a study."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import process_time
from typing import TypeVar

import torch
from torch import Tensor, nn

from danlu.contracts import derive_seed
from danlu.mixers.base import after_step
from danlu.optim import OPTIMIZERS, OptimizerOptions, Scheduled, named_parameters

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How long an arm trains, and how fast.

    Attributes:
        steps: most of them.
        seconds: of CPU time after which it ends, for arms of equal time; None for steps alone.
        rate: of AdamW.
        seed: of everything drawn.
    """

    steps: int
    seconds: float | None = None
    rate: float = 2e-3
    seed: int = 0


def count(model: nn.Module) -> int:
    """Its number of parameters."""
    return sum(p.numel() for p in model.parameters())


def sized(make: Callable[[int], Model], widths: Iterable[int], parameters: int) -> Model:
    """The model of the width at which it comes nearest a number of parameters, from one seed."""

    def made(width: int) -> Model:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return make(width)

    return min(map(made, widths), key=lambda model: abs(count(model) - parameters))


def fit(model: nn.Module, loss: Callable[[int], Tensor], effort: Effort) -> tuple[int, float]:
    """Train in place; the steps done and the CPU seconds that they took.

    Args:
        model: whose parameters learn.
        loss: of the batch of a step, with its gradient.
        effort: how long.
    """
    options = OptimizerOptions(name="adamw", rate=effort.rate, warmup=0.05, schedule="cosine")
    optimizer = OPTIMIZERS["adamw"].build(named_parameters(model, [model]), options)
    scheduled, began, steps = Scheduled(optimizer, options), process_time(), 0
    model.train()
    while True:
        spent = process_time() - began
        fraction = steps / effort.steps
        if effort.seconds is not None:
            fraction = max(fraction, spent / effort.seconds)
        if fraction >= 1:
            break
        torch.manual_seed(derive_seed(effort.seed, "step", steps))
        optimizer.zero_grad(set_to_none=True)
        loss(steps).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scheduled.set(fraction)
        optimizer.step()
        steps += 1
        after_step(model, steps)
    model.eval()
    return steps, process_time() - began
