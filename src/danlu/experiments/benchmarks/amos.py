"""Amos beside AdamW: a U-Net that denoises and a classifier, on Fashion-MNIST.

Every optimiser gets the same search on the validation split: four rates at a part of the steps,
the lowest validation loss wins. Then each trains from two seeds. What is compared is the validation
loss after the same steps, the steps to AdamW's last loss, the bytes of state and, with fixed
gradients in turn, the CPU time of a step. All have the same warm-up and the schedule `sqrt`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from time import process_time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from danlu.contracts import Batch, Progress, derive_seed
from danlu.data import ExampleStream, Source, open_source
from danlu.evaluation.features.network import FeatureNetwork
from danlu.experiments.benchmarks.page import curves, table, write_page
from danlu.generative.diffusion import rectified_flow
from danlu.optim import OPTIMIZERS, OptimizerOptions, Scheduled, named_parameters, state_bytes

SEARCH, STEPS, SEEDS, POINTS, ROUNDS = 150, 600, (0, 1), 12, 40
MOST_TIME, MOST_STATE = 1.1, 0.51
HELD_OUT = 512
FOREACH = "AdamW foreach"


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A network, its loss and its batch."""

    build: Callable[[Source], nn.Module]
    loss: Callable[[nn.Module, Batch, Progress], Tensor]
    batch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What one run gave: validation losses by step, and the bytes of the optimiser's state."""

    losses: dict[int, float]
    state: int

    @property
    def last(self) -> float:
        """The last validation loss."""
        return list(self.losses.values())[-1]


def _denoise(model: nn.Module, batch: Batch, progress: Progress) -> Tensor:
    assert isinstance(model, rectified_flow.RectifiedFlow)
    return model.loss(batch, "model", progress).total


def _classify(model: nn.Module, batch: Batch, progress: Progress) -> Tensor:
    assert batch.condition is not None
    return cross_entropy(model(batch.x), batch.condition)


TASKS = {
    "denoiser": Task(
        build=lambda source: rectified_flow.build(
            source.description, width=16, levels=2, blocks=1, patch=2, features=64
        ),
        loss=_denoise,
        batch=32,
    ),
    "classifier": Task(
        build=lambda source: FeatureNetwork(source.description.shape, source.description.classes),
        loss=_classify,
        batch=64,
    ),
}
AMOS_RATES = (0.01, 0.03, 0.1, 0.3)
OPTIONS = {
    "AdamW": OptimizerOptions(name="adamw", betas=(0.9, 0.99), weight_decay=0.01),
    "Amos": OptimizerOptions(name="amos", betas=(0.9, 0.99), weight_decay=0.0),
    "Amos, no momentum": OptimizerOptions(name="amos", betas=(0.0, 0.99), weight_decay=0.0),
}
RATES = {"AdamW": (3e-4, 1e-3, 3e-3, 1e-2), "Amos": AMOS_RATES, "Amos, no momentum": AMOS_RATES}


def run(
    report: Callable[[str], None],
    *,
    search: int = SEARCH,
    steps: int = STEPS,
    data: str = "fashion-mnist",
    folder: Path | None = None,
) -> dict[str, Any]:
    """Search, train, compare, and write the page."""
    source = open_source(data)
    figures: dict[str, Any] = {}
    pictures = {}
    lines = [
        "# Amos against AdamW",
        "\nCommand: `OMP_NUM_THREADS=1 danlu bench amos`. Validation losses on Fashion-MNIST after "
        f"{steps} steps, mean of {len(SEEDS)} seeds; rates chosen among four by the validation "
        f"loss after {search} steps of another seed. State is a share of AdamW's.",
    ]
    for name, task in TASKS.items():
        rates = {each: _best_rate(task, source, each, search, report) for each in OPTIONS}
        runs = {each: _runs(task, source, each, rate, steps) for each, rate in rates.items()}
        figures[name] = _compared(rates, runs)
        for each, row in figures[name].items():
            report(f"{name}, {each}: loss {row['loss']:.4f} at rate {row['rate']:g}")
        lines += [f"\n## {name.capitalize()}", *_table(figures[name])]
        means = {each: _mean(rows) for each, rows in runs.items()}
        shown = {each: ([*map(float, row)], [*row.values()]) for each, row in means.items()}
        pictures[name] = curves(shown, "step", f"validation loss of the {name}")
    times = step_times(TASKS["denoiser"].build(source))
    page = write_page("amos", lines + _time_lines(times), pictures, folder)
    report(f"written: {page}")
    states = [figures[name]["Amos"]["state"] for name in TASKS]
    holds = times["Amos"] <= MOST_TIME * times[FOREACH] and max(states) <= MOST_STATE
    return {**figures, "seconds": times, "holds": holds}


def _runs(task: Task, source: Source, name: str, rate: float, steps: int) -> list[Trained]:
    options = replace(OPTIONS[name], rate=rate)
    return [_train(task, source, options, steps, seed) for seed in SEEDS]


def _time_lines(times: dict[str, float]) -> list[str]:
    rows = [
        (name, f"{1e3 * row:.2f}", f"{row / times[FOREACH]:.2f}") for name, row in times.items()
    ]
    return [
        "\n## A step on the U-Net\n",
        f"CPU time, median of {ROUNDS} rounds in turn, fixed gradients; AdamW is `fused`.",
        *table(("optimiser", "ms", f"share of {FOREACH}"), rows),
    ]


def step_times(model: nn.Module) -> dict[str, float]:
    """Median CPU seconds of a step of each optimiser with fixed gradients, all in turn."""
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    named = named_parameters(model, [model])
    steppers = {FOREACH: torch.optim.AdamW(model.parameters(), foreach=True)}
    steppers |= {
        name: OPTIMIZERS[options.name].build(named, options) for name, options in OPTIONS.items()
    }
    rows: dict[str, list[float]] = {name: [] for name in steppers}
    for _ in range(ROUNDS):
        for name, optimizer in steppers.items():
            began = process_time()
            optimizer.step()
            rows[name].append(process_time() - began)
    return {name: median(row) for name, row in rows.items()}


def _best_rate(
    task: Task, source: Source, name: str, steps: int, report: Callable[[str], None]
) -> float:
    found = {
        rate: _train(task, source, replace(OPTIONS[name], rate=rate), steps, seed=99).last
        for rate in RATES[name]
    }
    report(f"search, {name}: " + ", ".join(f"{rate:g}: {loss:.4f}" for rate, loss in found.items()))
    finite = {rate: loss for rate, loss in found.items() if loss == loss}
    return min(finite, key=finite.__getitem__)


def _train(task: Task, source: Source, options: OptimizerOptions, steps: int, seed: int) -> Trained:
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "model"))
        model = task.build(source)
        optimizer = OPTIMIZERS[options.name].build(named_parameters(model, [model]), options)
        scheduled = Scheduled(optimizer, options)
        stream = ExampleStream(source.training, source.description, batch=task.batch, seed=seed)
        due = {round(steps * point / POINTS) for point in range(1, POINTS + 1)}
        losses = {}
        for step in range(steps):
            progress = Progress(step, step / steps, derive_seed(seed, "step", step))
            torch.manual_seed(progress.seed)
            optimizer.zero_grad(set_to_none=True)
            task.loss(model.train(), next(stream), progress).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scheduled.set(progress.fraction)
            optimizer.step()
            if step + 1 in due:
                losses[step + 1] = _validation(task, model.eval(), source)
    return Trained(losses=losses, state=state_bytes(optimizer))


@torch.no_grad()
def _validation(task: Task, model: nn.Module, source: Source) -> float:
    values = []
    for index, batch in enumerate(_held_out(source, task.batch)):
        seed = derive_seed(0, "validation", index)
        torch.manual_seed(seed)
        values.append(task.loss(model, batch, Progress(0, 0.5, seed)).item())
    return mean(values)


def _held_out(source: Source, size: int) -> Iterator[Batch]:
    most = min(HELD_OUT, len(source.validation))
    indices = torch.arange(most)
    for part in indices.split(size):
        condition = source.validation.condition
        assert condition is not None
        yield Batch(source.validation.x(part), condition[part], part)


def _mean(runs: list[Trained]) -> dict[int, float]:
    return {step: mean(row.losses[step] for row in runs) for step in runs[0].losses}


def _compared(rates: dict[str, float], runs: dict[str, list[Trained]]) -> dict[str, Any]:
    base = runs["AdamW"]
    goal = _mean(base)[max(base[0].losses)]
    return {
        name: {
            "rate": rates[name],
            "loss": _mean(rows)[max(rows[0].losses)],
            "each": [row.last for row in rows],
            "steps_to_adamw": _steps_to(_mean(rows), goal),
            "state": rows[0].state / base[0].state,
        }
        for name, rows in runs.items()
    }


def _steps_to(losses: dict[int, float], goal: float) -> float | None:
    """The step at which a curve first crosses a loss, between its points on a straight line."""
    points = list(losses.items())
    if points[0][1] <= goal:
        return float(points[0][0])
    for (before, high), (after, low) in pairwise(points):
        if low <= goal:
            return before + (after - before) * (high - goal) / (high - low)
    return None


def _table(rows: dict[str, Any]) -> list[str]:
    heading = ("optimiser", "rate", "loss", "each seed", "steps to AdamW's loss", "state")
    return table(heading, [
        (name, f"{row['rate']:g}", f"{row['loss']:.4f}",
         ", ".join(f"{loss:.4f}" for loss in row["each"]),
         "not reached" if row["steps_to_adamw"] is None else f"{row['steps_to_adamw']:.0f}",
         f"{row['state']:.3f}")
        for name, row in rows.items()
    ])  # fmt: skip
