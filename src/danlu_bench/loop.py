"""What the trainer costs beside a bare loop, and what each speed policy wins.

Both loops train equal rectified flows with the same batches, optimiser, clipping and averaging;
their steps alternate, and each figure is the median of several rounds. CPU seconds of this
process are compared, so that other work on the machine does not count.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from time import process_time
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW

from danlu.contracts import Classes, DataDescription, DataKind, Progress
from danlu.data import Examples, ExampleStream
from danlu.generative.diffusion.rectified_flow import RectifiedFlow, build
from danlu.layers import attention
from danlu.training import Budget, Plan, Policy, Trainer, TrainingRun

ROUNDS, STEPS, WARM = 5, 20, 3
MOST_RATIO, MOST_MILLISECONDS = 1.03, 0.5
GAMMA = 6.94
IMAGES = DataDescription(
    kind=DataKind.IMAGE, shape=(1, 28, 28), levels=256, low=-1.0, high=1.0, condition=Classes(10)
)
POINTS = DataDescription(shape=(2,), levels=None, low=-4.0, high=4.0)

Report = Callable[[str], None]
Step = Callable[[], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A model and its data."""

    description: DataDescription
    settings: Mapping[str, int]
    batch: int


UNET = Task(
    description=IMAGES,
    settings={"width": 32, "levels": 2, "blocks": 1, "patch": 2, "features": 128},
    batch=16,
)
MLP = Task(
    description=POINTS,
    settings={"width": 128, "blocks": 3, "features": 64},
    batch=256,
)


def run(report: Report, *, compiled: bool = False) -> dict[str, Any]:
    """Measure on this machine; `compiled` adds `torch.compile`, which takes minutes."""
    figures = {"unet": overhead(UNET), "mlp": overhead(MLP)}
    unet, mlp = figures["unet"], figures["mlp"]
    report(f"median of {ROUNDS} rounds of {STEPS} steps, both loops in turn, CPU time")
    report(
        f"U-Net 28x28  bare {unet['bare_ms']:8.2f} ms  trainer {unet['trainer_ms']:8.2f} ms  "
        f"ratio {unet['ratio']:.4f}  (at most {MOST_RATIO})"
    )
    report(
        f"2-D MLP      bare {mlp['bare_ms']:8.2f} ms  trainer {mlp['trainer_ms']:8.2f} ms  "
        f"{mlp['extra_ms']:+.3f} ms a step  (at most {MOST_MILLISECONDS})"
    )
    policies = speeds(UNET, _policies(IMAGES, compiled=compiled))
    for name, row in policies.items():
        report(f"{name:50s} {row['examples_per_second']:8.1f} images/s  {row['speedup']:5.2f} x")
    holds = unet["ratio"] <= MOST_RATIO and mlp["extra_ms"] <= MOST_MILLISECONDS
    return {**figures, "policies": policies, "holds": holds}


def overhead(task: Task) -> dict[str, float]:
    """The trainer's step beside the bare loop's."""
    policy = replace(Policy.choose("cpu", task.description), threads=torch.get_num_threads())
    trained, bare = _trainer_step(task, policy), _bare_step(task, policy)
    rows = _alternate({"trainer": trained, "bare": bare})
    ratio = [a / b for a, b in zip(rows["trainer"], rows["bare"], strict=True)]
    extra = [a - b for a, b in zip(rows["trainer"], rows["bare"], strict=True)]
    return {
        "trainer_ms": 1e3 * statistics.median(rows["trainer"]),
        "bare_ms": 1e3 * statistics.median(rows["bare"]),
        "ratio": statistics.median(ratio),
        "extra_ms": 1e3 * statistics.median(extra),
    }


def speeds(task: Task, policies: Mapping[str, tuple[Policy, int]]) -> dict[str, dict[str, float]]:
    """Speed under each policy; the first is what the others are compared with."""
    steps = {}
    for name, (policy, plain_up_to) in policies.items():
        with _plain_attention(plain_up_to):  # compilation sees it too
            steps[name] = _with_attention(_trainer_step(task, policy), plain_up_to)
    rows = _alternate(steps)
    first = next(iter(rows.values()))
    return {
        name: {
            "examples_per_second": task.batch / statistics.median(row),
            "speedup": statistics.median(a / b for a, b in zip(first, row, strict=True)),
        }
        for name, row in rows.items()
    }


def _policies(description: DataDescription, *, compiled: bool) -> dict[str, tuple[Policy, int]]:
    """Name -> (policy, longest sequence with plain attention)."""
    eager = Policy(threads=torch.get_num_threads())
    low = replace(eager, autocast="bfloat16")
    chosen = replace(Policy.choose("cpu", description), threads=eager.threads)
    plain = attention.PLAIN_UP_TO
    rows = {
        "float32": (eager, plain),
        "float32, channels last": (replace(eager, channels_last=True), plain),
        "bfloat16 autocast": (low, plain),
        "bfloat16 autocast, channels last": (replace(low, channels_last=True), plain),
        "bfloat16 autocast, fused attention": (low, 0),
    }
    if compiled:
        rows["compiled, bfloat16 autocast"] = (replace(low, compile=True), plain)
    return {
        f"{name} (chosen here)" if row == (chosen, plain) else name: row
        for name, row in rows.items()
    }


# --- the two loops ------------------------------------------------------------------------------


def _model(task: Task) -> RectifiedFlow:
    torch.manual_seed(0)
    return build(task.description, **task.settings)  # type: ignore[arg-type]


def _stream(task: Task) -> ExampleStream:
    description, n = task.description, 4096
    generator = torch.Generator().manual_seed(0)
    if description.levels is None:
        values = torch.randn(n, *description.shape, generator=generator)
    else:
        size = (n, *description.shape)
        values = torch.randint(description.levels, size, generator=generator, dtype=torch.uint8)
    classes = description.classes
    condition = torch.randint(classes, (n,), generator=generator) if classes else None
    examples = Examples(values, condition, description)
    return ExampleStream(examples, description, batch=task.batch, seed=0)


def _trainer_step(task: Task, policy: Policy) -> Step:
    budget, plan = Budget(steps=10_000), Plan(batch=task.batch, average=GAMMA)
    trainer = Trainer(_model(task), _stream(task), plan, budget, run=TrainingRun(policy=policy))
    trainer.begin()
    return trainer.round


def _bare_step(task: Task, policy: Policy) -> Step:
    """What a person would write for this one model, with the same clipping and averaging."""
    model, stream = _model(task), _stream(task)
    policy.place(model)
    weights = [p for p in model.parameters() if p.requires_grad]
    average = [weight.detach().clone() for weight in weights]
    optimizer = AdamW(weights, lr=1e-3, betas=(0.9, 0.99), fused=True)

    def steps() -> Iterator[None]:
        for step in range(1, 10**9):
            batch = policy.take(next(stream), torch.float32)
            with policy.precision():
                loss = model.loss(batch, "model", Progress(step, 0.5, 0)).total
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(weights, 1.0, error_if_nonfinite=True)
            optimizer.step()
            with torch.no_grad():
                share = 1.0 - (1.0 - 1.0 / step) ** (GAMMA + 1.0)
                torch._foreach_lerp_(average, weights, share)  # pyright: ignore
            yield

    running = steps()
    return lambda: next(running)


# --- measuring ----------------------------------------------------------------------------------


def _alternate(steps: Mapping[str, Step]) -> dict[str, list[float]]:
    """Name -> CPU seconds of a step, one figure a round; the order turns with every step."""
    for step in steps.values():
        for _ in range(WARM):
            step()
    names, rows = list(steps), {name: [] for name in steps}
    first = cycle(range(len(names)))
    for _ in range(ROUNDS):
        spent = dict.fromkeys(names, 0.0)
        for _ in range(STEPS):
            offset = next(first)
            for name in names[offset:] + names[:offset]:
                began = process_time()
                steps[name]()
                spent[name] += process_time() - began
        for name in names:
            rows[name].append(spent[name] / STEPS)
    return rows


def _with_attention(step: Step, plain_up_to: int) -> Step:
    def stepped() -> None:
        with _plain_attention(plain_up_to):
            step()

    return stepped


@contextmanager
def _plain_attention(longest: int) -> Iterator[None]:
    """Attention takes its plain form up to this length."""
    before = attention.PLAIN_UP_TO
    attention.PLAIN_UP_TO = longest
    try:
        yield
    finally:
        attention.PLAIN_UP_TO = before
