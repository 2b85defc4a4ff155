"""What another device wins: training steps and samples of the race's families, and mixers.

The same work on the CPU and on the device, in turns, each in the policy that danlu would choose
there. A round ends when the device has finished, so a queue that is still full counts.
"""

import os
import statistics
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch

from danlu.data import ExampleStream, open_source
from danlu.mixers import MIXERS
from danlu.runs.config import DataChoice, resolve
from danlu.runs.machine import chosen_device
from danlu.training import Budget, Policy, Trainer, TrainingRun

FAMILIES = ("vae", "gan", "flow", "vq", "ddpm", "rectified-flow")
LAYERS = ("softmax", "linear", "retention", "mamba", "mamba2", "gated-delta", "rwkv6")
ROUNDS, STEPS = 3, 3
DRAWN = 16
LONGEST = 8.0
"""Seconds after which a comparison makes no further round."""
LENGTH, ROWS = 1024, 2

Report = Callable[[str], None]
Work = Callable[[], object]


def run(report: Report, *, device: str | None = None) -> dict[str, Any]:
    """Measure on `device`, on that of DANLU_DEVICE, or on the one that `auto` finds."""
    device = chosen_device(device or os.environ.get("DANLU_DEVICE", "auto"))
    if device == "cpu":
        report("There is no other device here: the CPU stands beside itself.")
    report(f"milliseconds on cpu and {device}; medians of up to {ROUNDS} rounds in turns")
    figures: dict[str, Any] = {}
    for name in FAMILIES:
        works = {place: _family(name, place) for place in ("cpu", device)}
        for what in ("step", f"{DRAWN} samples"):
            pair = {place: work[what] for place, work in works.items()}
            figures[f"{name}, {what}"] = _compared(report, f"{name}, {what}", pair, device)
    for name in LAYERS:
        pair = {place: _layer(name, place) for place in ("cpu", device)}
        what = f"{name}, {ROWS} x {LENGTH} tokens"
        figures[what] = _compared(report, what, pair, device)
    return {"device": device, "rows": figures}


def _compared(report: Report, what: str, works: dict[str, Work], device: str) -> dict[str, float]:
    taken: dict[str, list[float]] = {place: [] for place in works}
    for work in works.values():
        work()
    until = perf_counter() + LONGEST
    while len(taken[device]) < ROUNDS and (not taken[device] or perf_counter() < until):
        for place, work in works.items():
            began = perf_counter()
            work()
            taken[place].append(1e3 * (perf_counter() - began))
    here, there = (statistics.median(taken[place]) for place in ("cpu", device))
    report(f"{what:36s} {here:10.1f} {there:10.1f}  {here / there:6.2f} x")
    return {"cpu": here, "device": there, "ratio": here / there}


def _family(name: str, device: str) -> dict[str, Work]:
    source = open_source("digits")
    config = resolve(name, source, DataChoice(source="digits"), Budget(steps=10_000))
    plan, data = config.plan, source.training
    stream = ExampleStream(data, source.description, batch=plan.batch, seed=0)
    policy = Policy.choose(device, source.description)
    trainer = Trainer(config.build(), stream, plan, config.budget, run=TrainingRun(policy=policy))
    trainer.begin()

    def step() -> None:
        for _ in range(STEPS):
            trainer.round()
        _settle(device)

    def draw() -> None:
        trainer.model.sample(DRAWN)
        _settle(device)

    return {"step": step, f"{DRAWN} samples": draw}


def _layer(name: str, device: str) -> Work:
    mixer = MIXERS[name].build().to(device)
    x = torch.randn(ROWS, LENGTH, mixer.dim, device=device, requires_grad=True)

    def both_ways() -> None:
        mixer(x)[0].square().sum().backward()
        _settle(device)

    return both_ways


def _settle(device: str) -> None:
    if device != "cpu":
        torch.accelerator.synchronize(torch.device(device))
