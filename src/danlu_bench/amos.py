"""Amos beside AdamW: a character model on Brown, a U-Net and a classifier on Fashion-MNIST.

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
from torch import nn

from danlu.contracts import Batch, DataDescription, Progress, derive_seed
from danlu.data import ExampleStream, Source, open_source
from danlu.optim import OPTIMIZERS, OptimizerOptions, Scheduled, named_parameters, state_bytes
from danlu_bench.amos_tasks import LENGTH, TASKS, Task
from danlu_bench.brown import BROWN, brown_characters
from danlu_bench.page import curves, table, write_page

SEARCH, STEPS, SEEDS, POINTS, ROUNDS = 200, 600, (0, 1), 20, 40
MOST_TIME, MOST_STATE = 1.1, 0.51
HELD_OUT, HELD_OUT_BATCH = 256, 128
FOREACH = "AdamW foreach"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What one run gave: validation losses by step, and the bytes of the optimiser's state."""

    losses: dict[int, float]
    state: int

    @property
    def last(self) -> float:
        """The last validation loss."""
        return list(self.losses.values())[-1]


LETTERS = DataDescription(shape=(LENGTH,), levels=40, low=0.0, high=39.0)
"""As of the Brown corpus."""
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
    corpus: Path = BROWN,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Search, train, compare, and write the page."""
    sources = {False: open_source(data), True: brown_characters(LENGTH, corpus)}
    tasks: dict[str, Any] = {}
    pictures = {}
    for name, task in TASKS.items():
        source = sources[task.text]
        rates = {each: _best_rate(task, source, each, search, report) for each in OPTIONS}
        runs = {each: _runs(task, source, each, rate, steps) for each, rate in rates.items()}
        tasks[name] = _compared(rates, runs)
        for each, row in tasks[name].items():
            report(f"{name}, {each}: loss {row['loss']:.4f} at rate {row['rate']:g}")
        means = {each: _mean(rows) for each, rows in runs.items()}
        shown = {each: ([*map(float, row)], [*row.values()]) for each, row in means.items()}
        pictures[name.replace(" ", "-")] = curves(shown, "step", f"validation loss of the {name}")
    found = costs(report)
    page = write_page("amos", _page(tasks, found["rows"], search, steps), pictures, folder)
    report(f"written: {page}")
    return {**tasks, "costs": found["rows"], "holds": found["holds"]}


def _runs(task: Task, source: Source, name: str, rate: float, steps: int) -> list[Trained]:
    options = replace(OPTIONS[name], rate=rate)
    due = {round(steps * point / POINTS) for point in range(1, POINTS + 1)}
    return [_train(task, source, options, due, seed) for seed in SEEDS]


def _page(
    tasks: dict[str, Any], cost: dict[str, dict[str, Any]], search: int, steps: int
) -> list[str]:
    lines = [
        "# Amos against AdamW",
        "\nCommand: `OMP_NUM_THREADS=1 danlu bench amos`. A causal transformer over characters of "
        "the Brown corpus; a U-Net that denoises and a convolutional classifier on Fashion-MNIST. "
        f"Validation losses after {steps} steps, mean of seeds {', '.join(map(str, SEEDS))}; the "
        f"rate of each optimiser is the best of four after {search} steps of another seed, all "
        "have the same warm-up and the same falling rate. State is a share of AdamW's.",
        "\nThe paper (arXiv:2210.11693) pre-trains BERT and T5: Amos reaches AdamW's validation "
        "loss in at most 70 % of the steps, with at most 51 % of the memory. Here:\n",
    ]
    lines += [_verdict(name, rows, steps) for name, rows in tasks.items()]
    for name, rows in tasks.items():
        lines += [f"\n## {name.capitalize()}", *_table(rows)]
    return lines + _time_lines({name: row["seconds"] for name, row in cost.items()})


def _verdict(name: str, rows: dict[str, Any], steps: int) -> str:
    def words(row: dict[str, Any]) -> str:
        needed = row["steps_to_adamw"]
        return "not reached" if needed is None else f"reached in {needed / steps:.0%} of its steps"

    amos, bare = rows["Amos"], rows["Amos, no momentum"]
    return (
        f"- {name}: AdamW's last loss is {words(amos)} (without momentum: {words(bare)}), with "
        f"{amos['state']:.1%} of its state ({bare['state']:.1%})."
    )


def _time_lines(times: dict[str, dict[str, float]]) -> list[str]:
    names = [*next(iter(times.values()))]
    rows = [
        (name, *(f"{1e3 * row[each]:.2f} ({row[each] / row[FOREACH]:.2f})" for each in names))
        for name, row in times.items()
    ]
    return [
        "\n## A step\n",
        f"CPU milliseconds, and as a share of torch's AdamW with `foreach`: median of {ROUNDS} "
        "rounds in turn on one thread, fixed gradients. danlu's AdamW is torch's `fused` one.",
        *table(("network", *names), rows),
    ]


def costs(report: Callable[[str], None]) -> dict[str, Any]:
    """Steps and states of Amos beside AdamW's on the networks of the study, untrained."""
    digits, rows = open_source("digits"), {}
    for name, task in TASKS.items():
        source = replace(digits, description=LETTERS) if task.text else digits
        rows[name] = step_costs(task.build(source))
        seconds, state = rows[name]["seconds"], rows[name]["state"]
        report(
            f"{name}: of {FOREACH}'s time and of AdamW's state, "
            + ", ".join(
                f"{each} {seconds[each] / seconds[FOREACH]:.2f} and {state[each]:.3f}"
                for each in OPTIONS
            )
        )
    return {"rows": rows, "holds": all(_cheap(row) for row in rows.values())}


def _cheap(row: dict[str, dict[str, float]]) -> bool:
    seconds, state = row["seconds"], row["state"]
    return seconds["Amos"] <= MOST_TIME * seconds[FOREACH] and state["Amos"] <= MOST_STATE


def step_costs(model: nn.Module) -> dict[str, dict[str, float]]:
    """Median CPU seconds of a step of each optimiser, and its state as a share of AdamW's.

    Gradients are fixed, all take turns.
    """
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
    states = {name: state_bytes(optimizer) for name, optimizer in steppers.items()}
    return {
        "seconds": {name: median(row) for name, row in rows.items()},
        "state": {name: size / states[FOREACH] for name, size in states.items()},
    }


def _best_rate(
    task: Task, source: Source, name: str, steps: int, report: Callable[[str], None]
) -> float:
    found = {
        rate: _train(task, source, replace(OPTIONS[name], rate=rate), {steps}, seed=99).last
        for rate in RATES[name]
    }
    report(f"search, {name}: " + ", ".join(f"{rate:g}: {loss:.4f}" for rate, loss in found.items()))
    finite = {rate: loss for rate, loss in found.items() if loss == loss}
    return min(finite, key=finite.__getitem__)


def _train(
    task: Task, source: Source, options: OptimizerOptions, due: set[int], seed: int
) -> Trained:
    """Up to the last of the steps at which the validation loss is due."""
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "model"))
        model = task.build(source)
        optimizer = OPTIMIZERS[options.name].build(named_parameters(model, [model]), options)
        scheduled = Scheduled(optimizer, options)
        stream = ExampleStream(source.training, source.description, batch=task.batch, seed=seed)
        losses, steps = {}, max(due)
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
    for index, batch in enumerate(_held_out(source)):
        seed = derive_seed(0, "validation", index)
        torch.manual_seed(seed)
        values.append(task.loss(model, batch, Progress(0, 0.5, seed)).item())
    return mean(values)


def _held_out(source: Source) -> Iterator[Batch]:
    most = min(HELD_OUT, len(source.validation))
    indices = torch.arange(most)
    for part in indices.split(HELD_OUT_BATCH):
        yield Batch(source.validation.x(part), source.validation.told(part), part)


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
